"""What can be set: on the command line and in the environment, and in the settings file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from fleetcron.control.throttle import RequestRate
from fleetcron.domain.task import LateLimits
from fleetcron.domain.zone import zone_of
from fleetcron.errors import BadSettings, Invalid
from fleetcron.identity.contract import KeystoneConfig
from fleetcron.worker.limits import AttemptConfig

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8774
DEFAULT_ZONE = "Asia/Shanghai"
DEFAULT_REGION = "cn-north-4"

Region = Annotated[str, Meta(min_length=1, max_length=64)]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How the service is started. ``port`` 0 takes any free one; ``config`` names a file of ``Tuning``.

    ``secret_keys`` is the file of the keys that seal secrets, None for the one beside the database.
    What is given of password, keys and project id is made so at this start; the rest is generated at the first.
    """

    data_dir: Path
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
        return f"Settings(host={self.host!r}, port={self.port}, data_dir={str(self.data_dir)!r})"


class Tuning(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings file: everything that has a good default.

    ``regions`` each become a project of the account; the fleet belongs to the first.
    """

    default_zone: str = DEFAULT_ZONE
    regions: Annotated[tuple[Region, ...], Meta(min_length=1)] = (DEFAULT_REGION,)
    late_limits: LateLimits = LateLimits()
    attempts: AttemptConfig = AttemptConfig()
    limits: RequestRate = RequestRate()
    audit_days: Annotated[int, Meta(ge=1, le=36_500)] = 365
    identity: KeystoneConfig | None = None


def read_tuning(path: Path | None) -> Tuning:
    """Read a settings file; without one, everything is at its default.

    Raises:
        BadSettings: it cannot be read, or holds an unknown key or a wrong value; names the place.
    """
    if path is None:
        return Tuning()
    try:
        tuning = msgspec.convert(tomllib.loads(path.read_text()), Tuning)
        zone_of(tuning.default_zone)
    except OSError as error:
        raise BadSettings(str(path), f"cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise BadSettings(str(path), str(error)) from error
    except Invalid as error:
        raise BadSettings(f"{path}: default_zone", error.reason) from error
    return tuning
