"""The founding of the account: what the settings say, made so at every start."""

from __future__ import annotations

import logging
import re
import secrets
import string
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from fleetcron.control.passwords import Passwords
from fleetcron.domain.access import PASSWORD_LENGTH_MAX, AccessKey, Account, Project, User
from fleetcron.errors import BadSettings
from fleetcron.store import access as store
from fleetcron.store.database import Transaction
from fleetcron.store.vault import Vault

log = logging.getLogger(__name__)

ACCOUNT = "default"
ADMINISTRATOR = "admin"

_SENDABLE = re.compile(r"[A-Za-z0-9_-]{1,128}")


@dataclass(frozen=True, kw_only=True)
class Founding:
    """What the settings say about the account; each value that is given is made so at every start.

    ``project_id`` is the id of the first region's project. An access key comes with its secret.

    Raises:
        BadSettings: there is no region, a key without its other half, or text that cannot be sent in a request.
    """

    regions: tuple[str, ...]
    project_id: str | None = None
    admin_password: str | None = field(default=None, repr=False)
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not self.regions:
            raise BadSettings("FLEETCRON_REGIONS", "must name at least one region")
        if (self.access_key is None) != (self.secret_key is None):
            missing = "FLEETCRON_ACCESS_KEY" if self.access_key is None else "FLEETCRON_SECRET_KEY"
            raise BadSettings(missing, "must be set: an access key and its secret go together")
        for where, name in (("FLEETCRON_PROJECT_ID", self.project_id), ("FLEETCRON_ACCESS_KEY", self.access_key)):
            if name is not None and not _SENDABLE.fullmatch(name):
                raise BadSettings(where, "must have 1 to 128 letters, digits, - or _")
        if self.secret_key == "":
            raise BadSettings("FLEETCRON_SECRET_KEY", "must not be empty")
        if self.admin_password is not None and not 1 <= len(self.admin_password) <= PASSWORD_LENGTH_MAX:
            raise BadSettings("FLEETCRON_ADMIN_PASSWORD", f"must have 1 to {PASSWORD_LENGTH_MAX} characters")


@dataclass(frozen=True, kw_only=True)
class Established:
    """What stands after a start. ``projects`` are the regions' in their order.

    The other values are set only where this start generated them: it is the one chance to show them.
    """

    projects: tuple[Project, ...]
    project_id: str | None
    admin_password: str | None = field(repr=False)
    access_key: str | None
    secret_key: str | None = field(repr=False)


def found(tx: Transaction, passwords: Passwords, vault: Vault, founding: Founding, now: datetime) -> Established:
    """Make the account, its administrator, its projects and a key, or what has changed of them since.

    Raises:
        BadSettings: a given project id or access key is already somebody else's.
    """
    if store.find_account(tx, ACCOUNT) is None:
        store.insert_account(tx, Account(account_id=ACCOUNT, name=ACCOUNT, created_at=now))
    projects, project_id = _projects(tx, founding, now)
    admin = next(iter(store.list_users(tx, ACCOUNT, name=ADMINISTRATOR)), None)
    password = secrets.token_urlsafe(18) if admin is None and founding.admin_password is None else None
    pair = new_pair() if admin is None and founding.access_key is None else None
    admin = _administrator(tx, passwords, admin, password or founding.admin_password, now)
    access_key, secret_key = pair or (founding.access_key, founding.secret_key)
    if access_key is not None and secret_key is not None:
        _access_key(tx, admin, access_key, vault.seal(secret_key), now)
    return Established(
        projects=projects,
        project_id=project_id,
        admin_password=password,
        access_key=pair[0] if pair else None,
        secret_key=pair[1] if pair else None,
    )


def new_pair() -> tuple[str, str]:
    """A fresh access key of 20 characters, and its secret of 40."""
    letters = string.ascii_letters + string.digits
    return (
        "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(20)),
        "".join(secrets.choice(letters) for _ in range(40)),
    )


def _projects(tx: Transaction, founding: Founding, now: datetime) -> tuple[tuple[Project, ...], str | None]:
    """The regions' projects, and the first one's id if it was generated just now."""
    first, *others = dict.fromkeys(founding.regions)
    known = store.list_projects(tx, ACCOUNT, name=first)
    project = _project(tx, first, founding.project_id, now)
    generated = None if known or founding.project_id else project.project_id
    return (project, *(_project(tx, region, None, now) for region in others)), generated


def _project(tx: Transaction, region: str, project_id: str | None, now: datetime) -> Project:
    """The region's project, made if it is not there yet."""
    known = store.list_projects(tx, ACCOUNT, name=region)
    if known and project_id in (None, known[0].project_id):
        return known[0]
    if known:
        raise BadSettings("FLEETCRON_PROJECT_ID", f"region {region} already has project {known[0].project_id}")
    if project_id and store.find_project(tx, project_id):
        raise BadSettings("FLEETCRON_PROJECT_ID", f"project {project_id} is already another region's")
    project = Project(project_id=project_id or secrets.token_hex(16), account_id=ACCOUNT, name=region, created_at=now)
    store.insert_project(tx, project)
    return project


def _administrator(
    tx: Transaction, passwords: Passwords, known: User | None, password: str | None, now: datetime
) -> User:
    """The administrator with this password; None leaves a known one's as it is."""
    if known and (password is None or passwords.verify(known.password_hash, password)):
        return known
    password_hash = passwords.hash(password or secrets.token_urlsafe(18))
    if known:
        changed = msgspec.structs.replace(known, password_hash=password_hash)
        store.update_user(tx, changed)
        store.revoke_tokens(tx, known.user_id)
        # Left in the environment it would undo, at the next start, whatever password was chosen since.
        log.warning("the administrator's password was set from FLEETCRON_ADMIN_PASSWORD")
        return changed
    admin = User(
        user_id=secrets.token_hex(16),
        account_id=ACCOUNT,
        name=ADMINISTRATOR,
        description=None,
        password_hash=password_hash,
        administrator=True,
        enabled=True,
        created_at=now,
    )
    store.insert_user(tx, admin)
    return admin


def _access_key(tx: Transaction, admin: User, access_key: str, sealed: str, now: datetime) -> None:
    """See that this is a working key pair of the administrator's, its secret as it may be written down."""
    known = store.find_access_key(tx, access_key)
    if known is None:
        key = AccessKey(
            access_key=access_key,
            secret_key=sealed,
            user_id=admin.user_id,
            description=None,
            enabled=True,
            created_at=now,
        )
        store.insert_access_key(tx, key)
    elif known.user_id != admin.user_id:
        raise BadSettings("FLEETCRON_ACCESS_KEY", f"{access_key} is already another user's")
    else:
        store.update_access_key(tx, msgspec.structs.replace(known, secret_key=sealed, enabled=True))
