"""What can be set: on the command line and in the environment, and in the settings file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from fleetcron.assembly.written import read_toml
from fleetcron.control.throttle import RequestRate
from fleetcron.dispatch.nats.config import NatsConfig
from fleetcron.domain.task import LateLimits
from fleetcron.domain.zone import zone_of
from fleetcron.errors import BadSettings, Invalid
from fleetcron.identity.contract import KeystoneConfig
from fleetcron.worker.limits import AttemptConfig

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8774
DEFAULT_ZONE = "Asia/Shanghai"
DEFAULT_REGION = "cn-north-4"
PER_EXECUTION_MAX = 20_000

Region = Annotated[str, Meta(min_length=1, max_length=64)]
Days = Annotated[int, Meta(ge=1, le=36_500)]


class DoorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How people reach the service. ``port`` 0 takes any free one; ``config`` names a file of ``Tuning``.

    ``secret_keys`` is the file of the keys that seal secrets, None for the one beside the database.
    What is given of password, keys and project id is made so at this start; the rest is generated at the first.
    """

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    fleet: Path | None = None
    config: Path | None = None
    admin_password: str | None = None
    access_key: str | None = None
    secret_key: str | None = None
    project_id: str | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    secret_keys: Path | None = None

    def __repr__(self) -> str:
        """Without secrets: a repr ends in logs."""
        return f"{type(self).__name__}(host={self.host!r}, port={self.port})"


class Settings(DoorSettings, frozen=True, kw_only=True):
    """How the service in one process is started: everything that must be kept is in ``data_dir``."""

    data_dir: Path

    def __repr__(self) -> str:
        """Without secrets: a repr ends in logs."""
        return f"Settings(host={self.host!r}, port={self.port}, data_dir={str(self.data_dir)!r})"


class Concurrency(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much may be under way at one time, beside what each endpoint allows; None is no limit of its own.

    ``per_execution``: operations of one execution.
    """

    per_execution: Annotated[int, Meta(ge=1, le=PER_EXECUTION_MAX)] | None = None


class Tuning(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings file: everything that has a good default.

    ``regions`` each become a project of the account; the fleet belongs to the first. ``history_days`` None keeps every
    execution. ``nats`` is the line between machines, and means nothing to a service in one process.
    """

    default_zone: str = DEFAULT_ZONE
    regions: Annotated[tuple[Region, ...], Meta(min_length=1)] = (DEFAULT_REGION,)
    late_limits: LateLimits = LateLimits()
    attempts: AttemptConfig = AttemptConfig()
    concurrency: Concurrency = Concurrency()
    limits: RequestRate = RequestRate()
    audit_days: Days = 365
    history_days: Days | None = None
    identity: KeystoneConfig | None = None
    nats: NatsConfig | None = None


def read_tuning(path: Path | None) -> Tuning:
    """Read a settings file; without one, everything is at its default.

    Raises:
        BadSettings: it cannot be read, or holds an unknown key or a wrong value; names the place.
    """
    if path is None:
        return Tuning()
    tuning = read_toml(path, Tuning)
    try:
        zone_of(tuning.default_zone)
    except Invalid as error:
        raise BadSettings(f"{path}: default_zone", error.reason) from error
    return tuning
