"""Everything that many machines need, on one: PostgreSQL, three nodes of NATS, two APIs, two engines, three workers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from chaos import driver
from chaos.fleet import Fleet, fleet
from chaos.processes import Process
from fleetcron.drivers.simulated import SimulatedConfig
from fleetcron.store.postgresql import migrate
from fleetcron.store.vault import new_key
from peers.nats import Nats, nats_peer
from peers.ports import free_ports
from peers.postgresql import Postgresql, postgresql_peer

TESTS = Path(__file__).resolve().parents[1]

PROJECT = "0123456789abcdef0123456789abcdef"
PASSWORD = "a password for chaos"

APIS = 2
ENGINES = 2
WORKERS = 3
GROUPS = 16
GROUP_SERVERS = 25
STUCK_SERVERS = 5

# A restart takes half a second to three; some orders are refused, some come to nothing, some servers are out of reach.
LAB = SimulatedConfig(
    boot_seconds=(0.3, 2.0),
    stop_seconds=(0.2, 1.0),
    reinstall_seconds=(0.5, 1.0),
    failure_probability=0.01,
    refuse_probability=0.005,
    unreachable_probability=0.02,
    volatile=True,
)
# What is done to these never ends, so they never come back, and are busy for whoever comes next.
STUCK = SimulatedConfig(hang_probability=1.0, volatile=True)


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How long the world may take for something, in seconds: until an operation begins, and until it ends."""

    late: int
    settle: int


@dataclass(frozen=True, kw_only=True)
class World:
    """All of it, running."""

    postgresql: Postgresql
    database_url: str
    nats: Nats
    fleet: Fleet
    apis: list[Process]
    engines: list[Process]
    workers: list[Process]
    pace: Pace

    @property
    def processes(self) -> list[Process]:
        """Everything that is ours."""
        return [*self.apis, *self.engines, *self.workers]


@contextmanager
def world(folder: Path, *, seed: int, pace: Pace) -> Iterator[World]:
    """Start everything, with what it writes in ``folder``, wait until it is ready, and end it again."""
    with ExitStack() as stack:
        for name in ("postgresql", "nats", "logs", "data"):
            (folder / name).mkdir()
        # Every commit is on the disk before it is answered, as an operator has it.
        postgresql = stack.enter_context(postgresql_peer(folder / "postgresql"))
        nats = stack.enter_context(nats_peer(folder / "nats", nodes=3))
        servers = stack.enter_context(fleet({"lab": LAB, "stuck": STUCK}, seed=seed))
        database_url = postgresql.create_database()
        migrate(database_url)
        _write_files(folder, servers.port, pace)
        ports = iter(free_ports(APIS + ENGINES + WORKERS))
        made = World(
            postgresql=postgresql,
            database_url=database_url,
            nats=nats,
            fleet=servers,
            apis=[_api(folder, number, next(ports), database_url) for number in range(1, APIS + 1)],
            engines=[_engine(folder, number, next(ports), database_url, nats) for number in range(1, ENGINES + 1)],
            workers=[_worker(folder, number, next(ports), nats) for number in range(1, WORKERS + 1)],
            pace=pace,
        )
        for process in made.processes:
            stack.callback(process.stop)
            process.start()
        for process in made.processes:
            process.wait_until_ready()
        yield made


def _write_files(folder: Path, fleet_port: int, pace: Pace) -> None:
    keys = folder / "data" / "keys"
    keys.touch(mode=0o600)
    keys.write_text(new_key())
    (folder / "config.toml").write_text(f"""
[late_limits]
default_seconds = {pace.late}
reinstall_seconds = {pace.late}
[attempts]
start = {pace.settle}
stop = {pace.settle}
restart = {pace.settle}
reinstall = {pace.settle}
doubt = 6
notice = 0
[nats]
replicas = 3
""")
    groups = "".join(
        f"""
[[groups]]
id = "g{number}"
name = "Group {number}"
[[servers]]
count = {GROUP_SERVERS}
id = "g{number}-{{n:02}}"
group = "g{number}"
endpoint = "lab"
"""
        for number in range(1, GROUPS + 1)
    )
    endpoints = "".join(
        f"""
[[endpoints]]
name = "{name}"
driver = "{driver.NAME}"
concurrency_max = 500
settings = {{ port = {fleet_port} }}
"""
        for name in ("lab", "stuck")
    )
    stuck = f'[[servers]]\ncount = {STUCK_SERVERS}\nid = "stuck-{{n}}"\nendpoint = "stuck"\n'
    (folder / "fleet.toml").write_text(endpoints + groups + stuck)


def _api(folder: Path, number: int, port: int, database_url: str) -> Process:
    command = ["api", "--port", str(port), "--fleet", str(folder / "fleet.toml")]
    return _process(folder, f"api-{number}", port, command, {"FLEETCRON_DATABASE": database_url})


def _engine(folder: Path, number: int, port: int, database_url: str, nats: Nats) -> Process:
    environment = {"FLEETCRON_DATABASE": database_url, "FLEETCRON_NATS": nats.url}
    return _process(folder, f"engine-{number}", port, ["engine", "--health-port", str(port)], environment)


def _worker(folder: Path, number: int, port: int, nats: Nats) -> Process:
    data = folder / "data" / f"worker-{number}"
    command = ["worker", "--health-port", str(port), "--fleet", str(folder / "fleet.toml"), "--data-dir", str(data)]
    return _process(folder, f"worker-{number}", port, command, {"FLEETCRON_NATS": nats.url})


def _process(folder: Path, name: str, port: int, command: list[str], own: dict[str, str]) -> Process:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FLEETCRON_")}
    usual = {
        "FLEETCRON_ADMIN_PASSWORD": PASSWORD,
        "FLEETCRON_PROJECT_ID": PROJECT,
        "FLEETCRON_SECRET_KEYS_FILE": str(folder / "data" / "keys"),
        # Where a worker finds the way to the fleet.
        "PYTHONPATH": os.pathsep.join(filter(None, (str(TESTS), str(_offered(folder)), os.environ.get("PYTHONPATH")))),
    }
    return Process(
        name,
        [*command, "--config", str(folder / "config.toml")],
        clean | usual | own,
        url=f"http://127.0.0.1:{port}",
        folder=folder / "logs",
    )


def _offered(folder: Path) -> Path:
    path = folder / "site"
    return path if path.exists() else driver.offer(path)
