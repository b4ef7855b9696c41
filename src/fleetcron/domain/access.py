"""Who asks, and whether they may: accounts, projects, users, their keys and tokens, and the one decision."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

ACCESS_KEYS_MAX = 2
"""Access keys of one user: a second one to change over to."""

USERS_MAX = 1000
"""Users of one account."""

PASSWORD_LENGTH_MIN = 8
PASSWORD_LENGTH_MAX = 128
"""Hashing costs by design; a longer text would let anybody raise the cost."""


class Permission(StrEnum):
    """What a caller may be allowed to do; the wire says each in the vendor's words."""

    LIST_TASKS = "tasks:list"
    CREATE_TASK = "tasks:create"
    SHOW_TASK = "tasks:show"
    UPDATE_TASK = "tasks:update"
    DELETE_TASK = "tasks:delete"
    DELETE_TASKS = "tasks:delete-many"
    PREVIEW_FIRES = "tasks:preview"
    LIST_EXECUTIONS = "executions:list"
    SHOW_EXECUTION = "executions:show"
    LIST_SERVERS = "servers:list"
    SHOW_SERVER = "servers:show"
    LIST_GROUPS = "groups:list"
    SHOW_GROUP = "groups:show"
    START_SERVERS = "servers:start"
    STOP_SERVERS = "servers:stop"
    RESTART_SERVERS = "servers:restart"
    REINSTALL_SERVERS = "servers:reinstall"
    MANAGE_ACCESS = "access:manage"


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Who owns projects and users: the vendor's domain."""

    account_id: str
    name: str
    created_at: datetime


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """Where tasks and servers live; named after its region."""

    project_id: str
    account_id: str
    name: str
    created_at: datetime


class User(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who can sign in. ``password_hash`` is argon2's own text; control checks it, nobody shows it."""

    user_id: str
    account_id: str
    name: str
    description: str | None
    password_hash: str
    administrator: bool
    enabled: bool
    created_at: datetime

    def __repr__(self) -> str:
        """Say who it is without the hash: a repr ends in logs."""
        return f"User(user_id={self.user_id!r}, name={self.name!r})"


class AccessKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key pair with which a user's programs sign requests."""

    access_key: str
    secret_key: str
    user_id: str
    description: str | None
    enabled: bool
    created_at: datetime

    def __repr__(self) -> str:
        """Say which it is without the secret: a repr ends in logs."""
        return f"AccessKey(access_key={self.access_key!r}, user_id={self.user_id!r})"


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A signed-in user, for a while; only the token's digest is kept. ``project_id`` None is account scope."""

    digest: str
    user_id: str
    project_id: str | None
    issued_at: datetime
    expires_at: datetime


class ProjectScope(msgspec.Struct, frozen=True, kw_only=True):
    """Sign in to one project: by its id, or by its name in the user's own account.

    ``account`` is the name or the id of the account that is said to own it; None says nothing.
    """

    project_id: str | None = None
    name: str | None = None
    account: str | None = None


class AccountScope(msgspec.Struct, frozen=True, kw_only=True):
    """Sign in to the whole account; ``account`` is its name or id, None the user's own."""

    account: str | None = None


Scope = ProjectScope | AccountScope


class SignedIn(msgspec.Struct, frozen=True, kw_only=True):
    """What a token stands for; ``project`` None is account scope."""

    user: User
    account: Account
    project: Project | None
    issued_at: datetime
    expires_at: datetime


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: an authenticated user; ``project_id`` is set when a token ties the call to one project."""

    user_id: str
    user_name: str
    account_id: str
    administrator: bool
    project_id: str | None


class Allow(msgspec.Struct, frozen=True):
    """It may be done."""


class Deny(msgspec.Struct, frozen=True, kw_only=True):
    """It may not be done, and why."""

    reason: str


Decision = Allow | Deny


def decide(
    caller: Caller,
    permission: Permission,
    *,
    account_id: str | None,
    project_id: str | None = None,
    user_id: str | None = None,
) -> Decision:
    """Whether the caller may do this in a project (or, without one, in the account) that ``account_id`` owns.

    ``account_id`` is None where the project does not exist: unseen and foreign are told apart for nobody.
    ``user_id`` names whose own things are asked for, where a user may see to them without being an administrator.
    """
    if account_id != caller.account_id:
        place = "account" if project_id is None else f"project {project_id}"
        return Deny(reason=f"User {caller.user_name} has no access to the {place}.")
    if project_id is not None and caller.project_id not in (None, project_id):
        return Deny(reason=f"The token of user {caller.user_name} is not for project {project_id}.")
    if permission is Permission.MANAGE_ACCESS and not caller.administrator and user_id != caller.user_id:
        return Deny(reason=f"User {caller.user_name} is not an administrator of the account.")
    return Allow()
