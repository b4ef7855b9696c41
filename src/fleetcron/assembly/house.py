"""The whole service in one process: one thread for people, one for the clock, one for the servers."""

from __future__ import annotations

import gc
import logging
import signal
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec
import uuid_utils
import uvicorn
from starlette.types import ASGIApp

from fleetcron.assembly import inventory
from fleetcron.assembly.inventory import Inventory
from fleetcron.assembly.protocol import BoundedHead
from fleetcron.assembly.settings import Settings, Tuning, read_tuning
from fleetcron.assembly.threads import WorkerThread
from fleetcron.assembly.tls import tls_context
from fleetcron.control.access import Access
from fleetcron.control.audit import Audit
from fleetcron.control.fleet import Fleet
from fleetcron.control.founding import ACCOUNT, ADMINISTRATOR, Established, Founding
from fleetcron.control.groups import Groups
from fleetcron.control.history import History
from fleetcron.control.policies import Policies
from fleetcron.control.tasks import Tasks
from fleetcron.control.throttle import Keys, Requests, SignIns
from fleetcron.control.visitors import Visitors
from fleetcron.dispatch.local import LocalLine
from fleetcron.domain import fleet as nouns
from fleetcron.drivers.registry import open_driver
from fleetcron.engine.dispatcher import Dispatcher
from fleetcron.engine.loop import Loop
from fleetcron.engine.recorder import Recorder
from fleetcron.engine.scheduler import Scheduler
from fleetcron.engine.sweeper import Sweeper
from fleetcron.errors import BadSettings
from fleetcron.identity.contract import KeystoneConfig
from fleetcron.identity.registry import open_identity
from fleetcron.store import access as store
from fleetcron.store import fleet
from fleetcron.store.database import Database
from fleetcron.store.vault import open_vault
from fleetcron.web.app import build
from fleetcron.web.authentication import Gate
from fleetcron.web.call import Ground
from fleetcron.web.reception import Reception
from fleetcron.wire.executions import record_of
from fleetcron.worker.endpoint import Endpoint
from fleetcron.worker.worker import Worker

log = logging.getLogger(__name__)

STOP_SECONDS_MAX = 10.0
BACKLOG_MAX = 2048
GARBAGE_OBJECTS = 50_000


class Welcome(msgspec.Struct, frozen=True, kw_only=True):
    """What whoever started the service is told. A secret is None where it is not known: it was told before.

    ``generated`` names the fields that this start has made: it is the one chance to show them.
    """

    url: str
    data_dir: Path
    region: str
    project_id: str
    user: str
    domain: str
    admin_password: str | None
    access_key: str | None
    secret_key: str | None
    generated: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Without secrets: a repr ends in logs."""
        return f"Welcome(url={self.url!r}, project_id={self.project_id!r})"


class House:
    """Everything but the HTTP server: ``app`` answers calls, ``start`` lets the clock and the worker run.

    Raises:
        BadSettings: the data folder is in use, or a setting or file cannot be meant.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], datetime]) -> None:
        tuning = read_tuning(settings.config)
        self.tuning = tuning
        self.database = Database(settings.data_dir)
        try:
            access = Access(self.database, vault=open_vault(self.database, settings.secret_keys))
            reception = _reception(self.database, tuning.identity)
            # Whatever can be wrong with the files comes first: an account that is made shows its secrets only once.
            found = _read_inventory(settings, clock)
            endpoints = {endpoint.name: _open(endpoint, settings.data_dir, clock) for endpoint in found.endpoints}
            self.established = access.establish(clock(), _founding(settings, tuning))
            if settings.fleet is not None:
                _stock(self.database, self.established, found)
        except BaseException:
            self.database.close()
            raise
        audit = Audit(self.database, tuning.audit_days)
        self._audit = audit
        self._clock = clock
        line = LocalLine()
        self._loop = _loop(self.database, line, tuning, clock)
        self._worker = WorkerThread(Worker(line, endpoints, clock=clock, config=tuning.attempts))
        self._engine = threading.Thread(target=self._loop.run, name="engine", daemon=True)
        ground = Ground(
            tasks=Tasks(self.database, new_id=new_id, wake=line.wake),
            history=History(self.database),
            fleet=Fleet(self.database, late_limits=tuning.late_limits, new_id=new_id, wake=line.wake),
            access=access,
            groups=Groups(self.database),
            policies=Policies(self.database),
            audit=audit,
            sign_ins=SignIns(),
            clock=clock,
            default_zone=tuning.default_zone,
        )
        gate = Gate(
            access,
            keys=Keys(),
            requests=Requests(tuning.limits),
            reception=reception,
        )
        self.app: ASGIApp = build(ground, gate, version=version("fleetcron"))

    def start(self) -> None:
        """Let fires become executions, and executions act."""
        self._audit.start(self._clock)
        self._worker.start()
        self._engine.start()

    def stop(self) -> None:
        """Take nothing new and leave what is under way as it stands; the next start takes it up."""
        self._loop.stop()
        self._engine.join(STOP_SECONDS_MAX)
        self._worker.stop()
        self._audit.stop()
        self.database.close()


def serve(settings: Settings, announce: Callable[[Welcome], None]) -> None:
    """Run the service until SIGINT or SIGTERM; ``announce`` is called once it answers.

    Raises:
        BadSettings: as ``House``, or the address cannot be listened on.
    """
    tls = tls_context(settings.tls_certificate, settings.tls_key)
    listener = _listen(settings)
    with listener:
        service = House(settings, clock=now)
        welcome = _welcome(settings, service.established, service.tuning, listener)
        config = uvicorn.Config(
            service.app,
            loop="uvloop",
            http=BoundedHead,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            # Whoever could say where a request comes from could get round the limits and falsify the audit log.
            proxy_headers=False,
            timeout_graceful_shutdown=int(STOP_SECONDS_MAX),
            ssl_context_factory=None if tls is None else lambda *_: tls,
        )
        server = _Server(config, lambda: announce(welcome))
        # uvicorn stops on these, too, and then raises them once more, which by default would end us in the middle.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, server.leave)
        service.start()
        _spare_the_collector()
        try:
            server.run(sockets=[listener])
        finally:
            service.stop()


def _spare_the_collector() -> None:
    """Look for garbage rings less often: a burst of fires makes many objects and no rings.

    Measured on 10,000 tasks due in one second: a sixth of the processor time until all have begun.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS, 20, 20)


def now() -> datetime:
    """The clock of the service: UTC, in the whole milliseconds that the database keeps."""
    return datetime.fromtimestamp(time.time_ns() // 1_000_000 / 1000, UTC)


def new_id() -> str:
    """An id that nobody else has; later ones sort after earlier ones, which keeps the indexes' ends together."""
    return str(uuid_utils.uuid7())


class _Server(uvicorn.Server):
    """uvicorn, telling when it answers."""

    def __init__(self, config: uvicorn.Config, answering: Callable[[], None]) -> None:
        super().__init__(config)
        self._answering = answering

    def leave(self, *_: object) -> None:
        """Stop, as soon as it has started if that is still to come."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.started:
            return
        try:
            self._answering()
        except BaseException:
            await self.shutdown(sockets)
            raise


def _founding(settings: Settings, tuning: Tuning) -> Founding:
    return Founding(
        regions=tuning.regions,
        project_id=settings.project_id,
        admin_password=settings.admin_password,
        access_key=settings.access_key,
        secret_key=settings.secret_key,
    )


def _read_inventory(settings: Settings, clock: Callable[[], datetime]) -> Inventory:
    return Inventory() if settings.fleet is None else inventory.read(settings.fleet, project_id="", now=clock())


def _stock(database: Database, established: Established, found: Inventory) -> None:
    """Make the first project's servers what the fleet file says, and no other's, whichever was the first before."""
    first = established.projects[0]
    servers = [msgspec.structs.replace(server, project_id=first.project_id) for server in found.servers]
    groups = [msgspec.structs.replace(group, project_id=first.project_id) for group in found.groups]
    with database.transaction() as tx:
        for project in store.list_projects(tx, first.account_id):
            if project != first:
                fleet.replace_inventory(tx, project.project_id, [], [])
        fleet.replace_inventory(tx, first.project_id, servers, groups)


def _open(endpoint: nouns.Endpoint, data_dir: Path, clock: Callable[[], datetime]) -> Endpoint:
    return Endpoint(endpoint, open_driver(endpoint, state_dir=data_dir, clock=clock))


def _reception(database: Database, config: KeystoneConfig | None) -> Reception | None:
    """Where tokens of another identity service wait, if one is set."""
    return None if config is None else Reception(Visitors(database, open_identity(config), config.roles))


def _loop(database: Database, line: LocalLine, tuning: Tuning, clock: Callable[[], datetime]) -> Loop:
    return Loop(
        clock=clock,
        line=line,
        scheduler=Scheduler(database, late_limits=tuning.late_limits, say=record_of, new_id=new_id),
        dispatcher=Dispatcher(database, line, say=record_of),
        recorder=Recorder(database, line, say=record_of),
        sweeper=Sweeper(database, line, say=record_of),
    )


def _listen(settings: Settings) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=BACKLOG_MAX)
    except (OSError, OverflowError) as error:
        raise BadSettings("address", f"cannot listen on {settings.host}:{settings.port}: {error}") from error


def _welcome(settings: Settings, established: Established, tuning: Tuning, listener: socket.socket) -> Welcome:
    # What listens on every address is reached on this machine by the loopback one.
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104  (not bound here)
    host = f"[{reached}]" if ":" in reached else reached
    return Welcome(
        url=f"{'http' if settings.tls_certificate is None else 'https'}://{host}:{listener.getsockname()[1]}",
        data_dir=settings.data_dir,
        region=tuning.regions[0],
        project_id=established.projects[0].project_id,
        user=ADMINISTRATOR,
        domain=ACCOUNT,
        admin_password=settings.admin_password or established.admin_password,
        access_key=settings.access_key or established.access_key,
        secret_key=settings.secret_key or established.secret_key,
        generated=tuple(
            name for name in ("admin_password", "access_key", "secret_key") if getattr(established, name) is not None
        ),
    )
