"""The wing that answers people: control over one database, and the web before it."""

from __future__ import annotations

import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import msgspec
from starlette.types import ASGIApp

from fleetcron.assembly import inventory
from fleetcron.assembly.clock import new_id, now
from fleetcron.assembly.databases import Watch, open_database
from fleetcron.assembly.inventory import Inventory
from fleetcron.assembly.server import Server, Stay, listen, url_of
from fleetcron.assembly.settings import DoorSettings, Tuning, read_tuning
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
from fleetcron.identity.contract import KeystoneConfig
from fleetcron.identity.registry import open_identity
from fleetcron.store import access as store
from fleetcron.store import fleet
from fleetcron.store.database import Database
from fleetcron.store.vault import open_vault
from fleetcron.web.app import THREADS_MAX, build
from fleetcron.web.authentication import Gate
from fleetcron.web.call import Ground
from fleetcron.web.health import Health
from fleetcron.web.reception import Reception

GARBAGE_OBJECTS = 50_000
GATE_THREADS_MAX = 6
DRAIN_SECONDS = 3.0
# Of the database: those who ask, those who are asked who they are, the audit log, and whoever watches.
CONNECTIONS_MAX = THREADS_MAX + GATE_THREADS_MAX + 2


class Welcome(msgspec.Struct, frozen=True, kw_only=True):
    """What whoever started the service is told. A secret is None where it is not known: it was told before.

    ``generated`` names the fields that this start has made: it is the one chance to show them. ``data_dir`` is None
    where the data is not on this machine.
    """

    url: str
    data_dir: Path | None
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


class Api:
    """Everything that answers people but the HTTP server: ``app`` answers calls.

    The account is made so as the settings say, and the inventory as ``found`` does, if anything was found.

    Raises:
        BadSettings: a setting or a file cannot be meant.
    """

    def __init__(
        self,
        database: Database,
        settings: DoorSettings,
        tuning: Tuning,
        *,
        found: Inventory | None,
        clock: Callable[[], datetime],
        wake: Callable[[], None],
    ) -> None:
        access = Access(database, vault=open_vault(database, settings.secret_keys))
        reception = _reception(database, tuning.identity)
        self.established = access.establish(clock(), _founding(settings, tuning))
        if found is not None:
            _stock(database, self.established, found)
        self._audit = Audit(database, tuning.audit_days)
        self._clock = clock
        ground = Ground(
            tasks=Tasks(database, new_id=new_id, wake=wake),
            history=History(database),
            fleet=Fleet(database, late_limits=tuning.late_limits, new_id=new_id, wake=wake),
            access=access,
            groups=Groups(database),
            policies=Policies(database),
            audit=self._audit,
            sign_ins=SignIns(),
            clock=clock,
            default_zone=tuning.default_zone,
            reads_wait=not database.answers_at_once,
        )
        gate = Gate(
            access,
            keys=Keys(),
            requests=Requests(tuning.limits),
            reception=reception,
            threads=None if database.answers_at_once else ThreadPoolExecutor(GATE_THREADS_MAX, "gate"),
        )
        self.app: ASGIApp = build(ground, gate, version=version("fleetcron"))

    def start(self) -> None:
        """Let the audit log be written."""
        self._audit.start(self._clock)

    def stop(self) -> None:
        """Write what the audit log still has to; the database has to be open until this returns."""
        self._audit.stop()


class ApiSettings(DoorSettings, frozen=True, kw_only=True):
    """How this wing is started alone: ``database`` is the URL of the system of record.

    ``drain_seconds``: how long calls are still taken once it has stopped being ready, for whoever sends them to see it.
    """

    database: str
    drain_seconds: float = DRAIN_SECONDS


def serve_api(settings: ApiSettings, announce: Callable[[Welcome], None]) -> None:
    """Run this wing alone until SIGINT or SIGTERM; ``announce`` is called once it answers.

    Raises:
        BadSettings: as ``Api``; the address cannot be listened on, or the database's schema is not this version's.
        Unavailable: the database does not answer.
    """
    tls = tls_context(settings.tls_certificate, settings.tls_key)
    tuning = read_tuning(settings.config)
    found = read_inventory(settings.fleet, now())
    with (
        listen(settings.host, settings.port) as listener,
        closing(open_database(settings.database, connections_max=CONNECTIONS_MAX)) as database,
    ):
        # The engines look for what is due by themselves, so nobody has to be woken.
        api = Api(database, settings, tuning, found=found, clock=now, wake=_nobody)
        watch = Watch(database.now)
        stay = Stay(seconds_max=settings.drain_seconds)
        app = Health(
            live={"process": _well}, ready={"database": watch.trouble, "process": stay.trouble}, otherwise=api.app
        )
        url = url_of(settings.host, listener, https=tls is not None)
        said = welcome(settings, api.established, tuning, url=url, data_dir=None)
        server = Server(app, stay, lambda: announce(said), tls=tls)
        server.heed_signals()
        watch.start()
        api.start()
        spare_the_collector()
        try:
            server.run(sockets=[listener])
        finally:
            watch.stop()
            api.stop()


def read_inventory(fleet_file: Path | None, now: datetime) -> Inventory | None:
    """What the fleet file says, None without one.

    Raises:
        BadSettings: it cannot be meant.
    """
    return None if fleet_file is None else inventory.read(fleet_file, project_id="", now=now)


def welcome(
    settings: DoorSettings, established: Established, tuning: Tuning, *, url: str, data_dir: Path | None
) -> Welcome:
    """What whoever started the service is told."""
    return Welcome(
        url=url,
        data_dir=data_dir,
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


def spare_the_collector() -> None:
    """Look for garbage rings less often: a burst of fires makes many objects and no rings.

    Measured on 10,000 tasks due in one second: a sixth of the processor time until all have begun.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS, 20, 20)


def _nobody() -> None:
    """Wake nobody."""


def _well() -> None:
    """Nothing is wrong with a process that answers."""


def _founding(settings: DoorSettings, tuning: Tuning) -> Founding:
    return Founding(
        regions=tuning.regions,
        project_id=settings.project_id,
        admin_password=settings.admin_password,
        access_key=settings.access_key,
        secret_key=settings.secret_key,
    )


def _stock(database: Database, established: Established, found: Inventory) -> None:
    """Make the first project's servers what the fleet file says, and no other's, whichever was the first before."""
    first = established.projects[0]
    servers = [msgspec.structs.replace(server, project_id=first.project_id) for server in found.servers]
    groups = [msgspec.structs.replace(group, project_id=first.project_id) for group in found.groups]
    with database.transaction() as tx:
        # First, for the turn that it takes: nodes that start together follow one another, and the last one wins whole.
        fleet.replace_endpoints(tx, [endpoint.reach() for endpoint in found.endpoints])
        for project in store.list_projects(tx, first.account_id):
            if project != first:
                fleet.replace_inventory(tx, project.project_id, [], [])
        fleet.replace_inventory(tx, first.project_id, servers, groups)


def _reception(database: Database, config: KeystoneConfig | None) -> Reception | None:
    """Where tokens of another identity service wait, if one is set."""
    return None if config is None else Reception(Visitors(database, open_identity(config), config.roles))
