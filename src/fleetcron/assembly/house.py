"""The whole service in one process: one thread for people, one for the clock, one for the servers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from starlette.types import ASGIApp

from fleetcron.assembly.api import Api, Welcome, read_inventory, spare_the_collector, welcome
from fleetcron.assembly.clock import now
from fleetcron.assembly.databases import Asked
from fleetcron.assembly.endpoints import open_endpoints
from fleetcron.assembly.engine import Engine
from fleetcron.assembly.server import Server, Stay, listen, url_of
from fleetcron.assembly.settings import Settings, read_tuning
from fleetcron.assembly.threads import WorkerThread
from fleetcron.assembly.tls import tls_context
from fleetcron.dispatch.local import LocalLine
from fleetcron.store.sqlite import SqliteDatabase
from fleetcron.web.health import Health
from fleetcron.worker.worker import Worker


class House:
    """Everything but the HTTP server: ``app`` answers calls, ``start`` lets the clock and the worker run.

    ``stay`` is why its process stays: until it is asked to leave, no longer.

    Raises:
        BadSettings: the data folder is in use, or a setting or file cannot be meant.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], datetime]) -> None:
        self.tuning = read_tuning(settings.config)
        self.database = SqliteDatabase(settings.data_dir)
        line = LocalLine()
        try:
            # Whatever can be wrong with the files comes first: an account that is made shows its secrets only once.
            found = read_inventory(settings.fleet, clock())
            endpoints = open_endpoints(found.endpoints if found else (), settings.data_dir, clock)
            self._api = Api(self.database, settings, self.tuning, found=found, clock=clock, wake=line.wake)
        except BaseException:
            self.database.close()
            raise
        self.established = self._api.established
        self._engine = Engine(self.database, line, self.tuning, clock=clock)
        self._worker = WorkerThread(Worker(line, endpoints, clock=clock, config=self.tuning.attempts))
        self.stay = Stay(seconds_max=0)
        wings = {"engine": self._engine.trouble, "worker": self._worker.trouble}
        self.app: ASGIApp = Health(
            live=wings,
            ready={"database": Asked(self.database).trouble, **wings, "process": self.stay.trouble},
            otherwise=self._api.app,
        )

    def start(self) -> None:
        """Let fires become executions, and executions act."""
        self._api.start()
        self._worker.start()
        self._engine.start()

    def stop(self) -> None:
        """Take nothing new and leave what is under way as it stands; the next start takes it up."""
        self._engine.stop()
        self._worker.stop()
        self._api.stop()
        self.database.close()


def serve(settings: Settings, announce: Callable[[Welcome], None]) -> None:
    """Run the service until SIGINT or SIGTERM; ``announce`` is called once it answers.

    Raises:
        BadSettings: as ``House``, or the address cannot be listened on.
    """
    tls = tls_context(settings.tls_certificate, settings.tls_key)
    with listen(settings.host, settings.port) as listener:
        house = House(settings, clock=now)
        url = url_of(settings.host, listener, https=tls is not None)
        said = welcome(settings, house.established, house.tuning, url=url, data_dir=settings.data_dir)
        server = Server(house.app, house.stay, lambda: announce(said), tls=tls)
        server.heed_signals()
        house.start()
        spare_the_collector()
        try:
            server.run(sockets=[listener])
        finally:
            house.stop()
