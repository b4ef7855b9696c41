"""Many machines' way, all on this one: PostgreSQL, NATS, an engine and two workers, each a process of its own."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta

import httpx
import msgspec
import psycopg

from benchmarks import burst, rival
from benchmarks.stage import PASSWORD, PROJECT_ID, START_SECONDS_MAX, folder, founded, process, serving, spread
from fleetcron.assembly.clock import new_id, now
from fleetcron.domain.schedule import Cycle, Rule
from fleetcron.domain.task import Draft, Target, TargetKind, TaskType, create
from fleetcron.store import tasks
from fleetcron.store.database import Database
from fleetcron.store.partitions import make_ahead
from fleetcron.store.postgresql import PostgresqlDatabase, migrate
from fleetcron.store.sqlite import FILE_NAME
from fleetcron.store.vault import new_key
from peers.nats import Nats, nats_peer
from peers.ports import free_ports
from peers.postgresql import Postgresql, postgresql_peer

SERVERS = 10_000
WORKERS = 2
REPEATS = 3
LEAD_SECONDS = 3
SETTLE_SECONDS_MAX = 300
LOOK_SECONDS = 0.05
GROUP = "all"
# A restart is over as soon as it is asked for: what is measured is the way there and back.
FLEET = """
[[endpoints]]
name = "burst"
driver = "simulated"
concurrency_max = 20000
[endpoints.settings]
volatile = true
boot_seconds = [{boot}, {boot}]
stop_seconds = [0, 0]
[[groups]]
id = "all"
name = "All"
[[servers]]
count = {count}
id = "s{{n}}"
group = "all"
endpoint = "burst"
"""


class Peers(msgspec.Struct, frozen=True):
    """What runs beside us: each commit of the one and each stream of the other is in a file."""

    postgresql: Postgresql
    nats: Nats


class Wave(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of every server, in seconds after its fire: when it was recorded, and when it had ended."""

    recorded: float
    ended: float


def measure() -> str:
    """Measure and report."""
    with _peers() as peers:
        waves, rivals = [], []
        for _ in range(REPEATS):
            waves.append(_wave(peers))
            rivals.append(rival.jobs_per_second(peers.postgresql, SERVERS, WORKERS))
        bursts = [_burst(peers) for _ in range(REPEATS)]
    alone = [_recorded_alone() for _ in range(REPEATS)]
    rates = [SERVERS / wave.ended for wave in waves]
    ratios = [own / other for own, other in zip(rates, rivals, strict=True)]
    rows = "\n".join(
        f"| {number} | {one.median:.2f} | {one.p99:.2f} | {one.last:.2f} |" for number, one in enumerate(bursts, 1)
    )
    return f"""## Many machines' way, all on this one

PostgreSQL (every commit on the disk), NATS JetStream (streams in files), one engine and {WORKERS} workers, each a
process; the servers are simulated and do at once what they are told. Runs alternate; median (least to most) of
{REPEATS}.

### Subtasks a second

One task restarts {SERVERS:,} servers: from the fire until every subtask has ended. Each is recorded, handed out, begun,
submitted and settled, and no step is taken before the one before it is committed. Beside it Procrastinate
{rival.version()} on the same PostgreSQL: {SERVERS:,} jobs that do nothing, from deferring them in one batch until
{WORKERS} workers have done them all.

| fleetcron | Procrastinate | ratio of each pair |
|---|---|---|
| **{spread(rates)}** | {spread(rivals)} | {spread(ratios, 1)} |

### An execution of {SERVERS:,} servers, recorded

Seconds from the fire until the execution and its subtasks are committed; the promise is 2 s.

| PostgreSQL | SQLite |
|---|---|
| **{spread([wave.recorded for wave in waves], 2)}** | **{spread(alone, 2)}** |

### {burst.TASKS:,} tasks due in the same second

As above, on PostgreSQL and NATS; seconds after the fire time.

| run | half begun | 99 % begun | all begun |
|---|---|---|---|
{rows}

99 % begun after **{spread([one.p99 for one in bursts], 2)} s**.
"""


@contextmanager
def _peers() -> Iterator[Peers]:
    with folder() as home, ExitStack() as stack:
        for name in ("postgresql", "nats"):
            (home / name).mkdir()
        postgresql = stack.enter_context(postgresql_peer(home / "postgresql"))
        yield Peers(postgresql, stack.enter_context(nats_peer(home / "nats")))


def _wave(peers: Peers) -> Wave:
    with _cluster(peers, boot_seconds=0) as url, closing(PostgresqlDatabase(url)) as database:
        fire_at = due(database)
        with psycopg.connect(url, autocommit=True) as looking:

            def look() -> tuple[int, int]:
                found = looking.execute("SELECT total, succeeded, failed FROM executions").fetchone()
                total, succeeded, failed = found or (0, 0, 0)
                assert not failed, f"{failed} failed"
                return int(total), int(succeeded)

            recorded = _when(lambda: look()[0] == SERVERS, fire_at)
            return Wave(recorded=recorded, ended=_when(lambda: look()[1] == SERVERS, fire_at))


def _burst(peers: Peers) -> burst.Burst:
    with _cluster(peers, boot_seconds=4) as url, closing(PostgresqlDatabase(url)) as database:
        fire_at = burst.due_together(database)
        with psycopg.connect(url, autocommit=True) as looking:
            return burst.watch(lambda sql: looking.execute(sql).fetchall(), fire_at)


def _recorded_alone() -> float:
    """The same execution in one process, on SQLite."""
    with folder() as data_dir:
        fleet = data_dir / "fleet.toml"
        fleet.write_text(FLEET.format(count=SERVERS, boot=0))
        with founded(data_dir) as database:
            fire_at = due(database, lead_seconds=burst.LEAD_SECONDS)
        with serving(data_dir, fleet, pinned=False), burst.reading(data_dir / FILE_NAME) as ask:
            return _when(lambda: ask("SELECT count(*) FROM executions") == [(1,)], fire_at)


def due(database: Database, *, lead_seconds: int = LEAD_SECONDS) -> datetime:
    """Make the task that restarts every server once, soon; when."""
    fire_at = (now() + timedelta(seconds=lead_seconds)).replace(microsecond=0)
    draft = Draft(
        name="everybody",
        task_type=TaskType.RESTART_SERVER,
        rule=Rule(cycle=Cycle.ONCE, zone="UTC", on_date=fire_at.date(), at=fire_at.time()),
        targets=(Target(kind=TargetKind.SERVER_GROUP, target_id=GROUP),),
    )
    with database.transaction() as tx:
        tasks.insert(tx, create(draft, task_id=new_id(), project_id=PROJECT_ID, now=now()))
    return fire_at


def _when(is_so: Callable[[], bool], fire_at: datetime) -> float:
    """How many seconds after the fire something was seen to be so."""
    while True:
        after = (datetime.now(UTC) - fire_at).total_seconds()
        if is_so():
            return after
        assert after < SETTLE_SECONDS_MAX, "it takes too long"
        time.sleep(max(LOOK_SECONDS, -after - 0.5))


@contextmanager
def _cluster(peers: Peers, *, boot_seconds: int) -> Iterator[str]:
    """An engine and workers over a new database, which knows its fleet; the database's address."""
    url = peers.postgresql.create_database()
    peers.nats.wipe()
    with folder() as home, ExitStack() as stack:
        fleet, keys = home / "fleet.toml", home / "keys"
        fleet.write_text(FLEET.format(count=SERVERS, boot=boot_seconds))
        keys.touch(mode=0o600)
        keys.write_text(new_key())
        migrate(url)
        with closing(PostgresqlDatabase(url)) as database:
            make_ahead(database, now())
        own = {
            "FLEETCRON_DATABASE": url,
            "FLEETCRON_NATS": peers.nats.url,
            "FLEETCRON_ADMIN_PASSWORD": PASSWORD,
            "FLEETCRON_PROJECT_ID": PROJECT_ID,
            "FLEETCRON_SECRET_KEYS_FILE": str(keys),
        }
        with _ours(["api", "--fleet", str(fleet), "--port"], own):
            # It writes down the fleet, and is not needed for what is measured.
            pass
        stack.enter_context(_ours(["engine", "--health-port"], own))
        for number in range(WORKERS):
            data_dir = str(home / f"worker-{number}")
            worker = ["worker", "--fleet", str(fleet), "--data-dir", data_dir, "--health-port"]
            stack.enter_context(_ours(worker, own))
        yield url
    peers.postgresql.drop_database(url)


@contextmanager
def _ours(words: list[str], own: dict[str, str]) -> Iterator[None]:
    """One of our processes, ready, for as long as the block lasts; ``words`` end with the option of its port."""
    (port,) = free_ports(1)
    with process(
        [sys.executable, "-m", "fleetcron", *words, str(port), "--log-level", "warning"], pinned=False, own=own
    ):
        deadline = time.monotonic() + START_SECONDS_MAX
        while not _is_ready(port):
            if time.monotonic() > deadline:
                raise SystemExit(f"fleetcron {words[0]} did not start")
            time.sleep(0.05)
        yield


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/ready", trust_env=False).is_success
    except httpx.HTTPError:
        return False
