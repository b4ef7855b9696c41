"""The wing that reaches the servers, alone in a process: it needs the line and its endpoints, and no database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from fleetcron.assembly import inventory
from fleetcron.assembly.clock import now
from fleetcron.assembly.endpoints import open_endpoints
from fleetcron.assembly.lines import nats_config, worker_line
from fleetcron.assembly.names import name_of_process
from fleetcron.assembly.server import Server, Stay, listen, url_of
from fleetcron.assembly.threads import STOP_SECONDS_MAX, WorkerThread
from fleetcron.assembly.written import read_toml
from fleetcron.dispatch.nats.config import NatsConfig
from fleetcron.domain.fleet import DEFAULT_SITE, Token
from fleetcron.errors import BadSettings, Unavailable
from fleetcron.web.health import Health
from fleetcron.worker.limits import AttemptConfig
from fleetcron.worker.worker import Worker

DEFAULT_HEALTH_PORT = 8776
DRAIN_SECONDS = 30.0
# What one worker holds at once, and takes at once: the more it takes, the less is left for the others of its site.
UNDER_WAY_MAX = 5_000
TAKE_MAX = 100


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker of a ``site`` is started: where the line is (None: as the settings file says), and its fleet file.

    What drivers have to remember is kept in ``data_dir``. ``drain_seconds`` is how long what is under way may take to
    end once the worker is asked to; the rest is handed back.
    """

    site: str = DEFAULT_SITE
    nats: str | None = None
    fleet: Path
    data_dir: Path
    config: Path | None = None
    health_host: str = "127.0.0.1"
    health_port: int = DEFAULT_HEALTH_PORT
    drain_seconds: float = DRAIN_SECONDS

    def __repr__(self) -> str:
        """Without the URLs: a repr ends in logs."""
        return f"WorkerSettings(site={self.site!r}, fleet={str(self.fleet)!r})"


class WorkerTuning(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a worker reads of the settings file; of the other wings' parts it knows that they may be there."""

    attempts: AttemptConfig = AttemptConfig()
    nats: NatsConfig | None = None
    default_zone: object = None
    regions: object = None
    late_limits: object = None
    concurrency: object = None
    limits: object = None
    audit_days: object = None
    history_days: object = None
    identity: object = None


def serve_worker(settings: WorkerSettings, announce: Callable[[str], None]) -> None:
    """Run a worker until SIGINT or SIGTERM; ``announce`` is told where its health is, once that answers.

    Raises:
        BadSettings: a setting or a file cannot be meant, the site has no endpoint in the fleet file, or the address
            cannot be listened on.
        Unavailable: the worker has ended though nobody asked it to.
    """
    tuning = WorkerTuning() if settings.config is None else read_toml(settings.config, WorkerTuning)
    config = nats_config(tuning.nats, settings.nats)
    if tuning.attempts.doubt < config.ack_wait_seconds:
        # Whoever had the command before may tell the server for as long as nobody has noticed that it is cut off.
        raise BadSettings("attempts.doubt", f"must be at least nats.ack_wait_seconds, {config.ack_wait_seconds:g}")
    found = inventory.read(settings.fleet, project_id="", now=now())
    reached = [endpoint for endpoint in found.endpoints if endpoint.site == _site(settings.site)]
    if not reached:
        raise BadSettings(str(settings.fleet), f"has no endpoint of site {settings.site!r}")
    endpoints = open_endpoints(reached, settings.data_dir, now)
    with (
        listen(settings.health_host, settings.health_port) as listener,
        worker_line(config, site=settings.site, name=name_of_process()) as line,
    ):
        worker = Worker(
            line, endpoints, clock=now, config=tuning.attempts, under_way_max=UNDER_WAY_MAX, take_max=TAKE_MAX
        )
        thread = WorkerThread(worker)
        stay = Stay(
            seconds_max=settings.drain_seconds + STOP_SECONDS_MAX,
            begin=lambda: thread.drain(settings.drain_seconds),
            is_over=lambda: not thread.is_alive(),
        )
        health = Health(
            live={"worker": thread.trouble},
            ready={
                "worker": lambda: thread.trouble() or (None if worker.taking else "takes nothing"),
                "line": lambda: None if line.connected else "is not connected",
                "process": stay.trouble,
            },
        )
        url = url_of(settings.health_host, listener)
        server = Server(health, stay, lambda: announce(url))
        server.heed_signals()
        thread.start()
        try:
            server.run(sockets=[listener])
        finally:
            thread.stop()
    if not server.was_asked_to_leave:
        raise Unavailable("the worker has ended by itself; its log says why")


def _site(text: str) -> str:
    try:
        return msgspec.convert(text, Token)
    except msgspec.ValidationError as error:
        raise BadSettings("site", "must have 1 to 32 letters, digits, - or _") from error
