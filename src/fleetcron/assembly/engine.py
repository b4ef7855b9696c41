"""The wing that goes by the clock: the engine's loop in a thread."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path

import msgspec

from fleetcron.assembly.clock import new_id
from fleetcron.assembly.databases import Watch, open_database
from fleetcron.assembly.lines import engine_line, nats_config
from fleetcron.assembly.names import name_of_process
from fleetcron.assembly.pulse import Pulse
from fleetcron.assembly.server import STOP_SECONDS_MAX, Server, Stay, listen, url_of
from fleetcron.assembly.settings import Tuning, read_tuning
from fleetcron.dispatch.contract import EngineEnd
from fleetcron.domain.fleet import DEFAULT_SITE
from fleetcron.engine.canceller import Canceller
from fleetcron.engine.dispatcher import Dispatcher
from fleetcron.engine.keeper import Keeper
from fleetcron.engine.loop import Loop
from fleetcron.engine.recorder import Recorder
from fleetcron.engine.scheduler import Scheduler
from fleetcron.engine.sweeper import Sweeper
from fleetcron.errors import Unavailable
from fleetcron.store import fleet
from fleetcron.store.database import Database
from fleetcron.web.health import Health
from fleetcron.wire.executions import record_of

log = logging.getLogger(__name__)

DEFAULT_HEALTH_PORT = 8775
# Of the database: the loop, the routes, the keeper and the watch.
CONNECTIONS_MAX = 6
ROUTES_KEPT_SECONDS = 2.0
UNKNOWN_DRIVER = "unknown"


class Engine:
    """The engine's loop over one database, at one end of one line; and the keeper of what it has recorded."""

    def __init__(self, database: Database, line: EngineEnd, tuning: Tuning, *, clock: Callable[[], datetime]) -> None:
        self._pulse = Pulse()
        self._clock = clock
        self._keeper = Keeper(database, tuning.history_days)
        self._loop = Loop(
            # Whoever takes a turn asks what time it is.
            clock=self._pulse.felt(clock),
            line=line,
            scheduler=Scheduler(database, late_limits=tuning.late_limits, say=record_of, new_id=new_id),
            dispatcher=Dispatcher(
                database, line, say=record_of, executions_concurrency_max=tuning.concurrency.per_execution
            ),
            recorder=Recorder(database, line, say=record_of),
            sweeper=Sweeper(database, line, say=record_of),
            canceller=Canceller(database, line, say=record_of),
        )
        self._thread = threading.Thread(target=self._loop.run, name="engine", daemon=True)

    def start(self) -> None:
        """Let fires become executions, and old ones be forgotten."""
        self._pulse.beat()
        self._thread.start()
        self._keeper.start(self._clock)

    def leave(self) -> None:
        """Let the turn at hand be the last one."""
        self._loop.stop()

    def stop(self) -> None:
        """Leave, and wait for the end."""
        self._loop.stop()
        self._keeper.stop()
        self._thread.join(STOP_SECONDS_MAX)

    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def trouble(self) -> str | None:
        """What is wrong, None if turns are taken."""
        return self._pulse.trouble() if self._thread.is_alive() else "has ended"


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How an engine is started alone: the URL of the system of record, and the line's (None: as the file says)."""

    database: str
    nats: str | None = None
    config: Path | None = None
    health_host: str = "127.0.0.1"
    health_port: int = DEFAULT_HEALTH_PORT

    def __repr__(self) -> str:
        """Without the URLs: a repr ends in logs."""
        return f"EngineSettings(health_host={self.health_host!r}, health_port={self.health_port})"


class Routes:
    """The site and the driver of each endpoint, as the table says; what it said is believed for a moment.

    Of an endpoint that is gone from the table it is known on where it was: what has begun there is yet to end.
    """

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._known: dict[str, tuple[str, str]] = {}
        self._read_at: float | None = None

    def __call__(self, endpoint: str) -> tuple[str, str]:
        """Where commands for this endpoint go; of one that is unknown, to the default site, which says that it is."""
        now = self._clock()
        if self._read_at is None or now - self._read_at > ROUTES_KEPT_SECONDS:
            self._read()
            self._read_at = now
        return self._known.get(endpoint, (DEFAULT_SITE, UNKNOWN_DRIVER))

    def _read(self) -> None:
        try:
            with self._database.snapshot() as tx:
                self._known |= {reach.name: (reach.site, reach.driver) for reach in fleet.endpoints(tx)}
        except Unavailable as error:
            log.warning("the endpoints cannot be read; they are taken to be as before: %s", error.reason)


def serve_engine(settings: EngineSettings, announce: Callable[[str], None]) -> None:
    """Run this wing alone until SIGINT or SIGTERM; ``announce`` is told where its health is, once that answers.

    Raises:
        BadSettings: a setting or a file cannot be meant, the database's schema is not this version's, or the address
            cannot be listened on.
        Unavailable: the database does not answer at the start, or the engine has ended though nobody asked it to.
    """
    tuning = read_tuning(settings.config)
    config = nats_config(tuning.nats, settings.nats)
    with (
        listen(settings.health_host, settings.health_port) as listener,
        closing(open_database(settings.database, connections_max=CONNECTIONS_MAX)) as database,
        engine_line(config, route=Routes(database), name=name_of_process()) as line,
    ):
        engine = Engine(database, line, tuning, clock=database.now)
        watch = Watch(database.now)
        stay = Stay(seconds_max=STOP_SECONDS_MAX, begin=engine.leave, is_over=lambda: not engine.is_alive())
        health = Health(
            live={"engine": engine.trouble},
            ready={
                "engine": engine.trouble,
                "database": watch.trouble,
                "line": lambda: None if line.connected else "is not connected",
                "process": stay.trouble,
            },
        )
        url = url_of(settings.health_host, listener)
        server = Server(health, stay, lambda: announce(url))
        server.heed_signals()
        watch.start()
        engine.start()
        try:
            server.run(sockets=[listener])
        finally:
            watch.stop()
            engine.stop()
    if not server.was_asked_to_leave:
        raise Unavailable("the engine has ended by itself; its log says why")
