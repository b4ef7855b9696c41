"""Who asks, and whether they may: accounts, projects, users, their keys and tokens, and the one decision."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

ACCESS_KEYS_MAX = 2
"""Access keys of one user: a second one to change over to."""

TEMPORARY_KEYS_MAX = 100
"""Temporary access keys of one user that have not expired."""

TEMPORARY_KEY_SECONDS_MIN = 900
TEMPORARY_KEY_SECONDS_MAX = 86_400
"""How long a temporary access key may live: from a quarter of an hour to a day."""

USERS_MAX = 1000
"""Users of one account."""

GROUPS_MAX = 100
"""Groups of users of one account."""

POLICIES_MAX = 200
"""Policies that one account has written itself."""

ATTACHMENTS_MAX = 100
"""Policies attached to one user or one group: every request of the user's is held against all of them."""

PASSWORD_LENGTH_MIN = 8
PASSWORD_LENGTH_MAX = 128
"""Hashing costs by design; a longer text would let anybody raise the cost."""


class Permission(StrEnum):
    """What a caller may be allowed to do, as IAM policies write it: ``service:type:operation``.

    Source: the permission rows of the vendor's pages; those of servers are ours after their pattern.
    """

    LIST_TASKS = "workspace:scheduledTasks:list"
    CREATE_TASK = "workspace:scheduledTasks:create"
    SHOW_TASK = "workspace:scheduledTasks:get"
    UPDATE_TASK = "workspace:scheduledTasks:update"
    DELETE_TASK = "workspace:scheduledTasks:delete"
    DELETE_TASKS = "workspace:scheduledTasks:batchDelete"
    PREVIEW_FIRES = "workspace:scheduledTasks:getFuture"
    LIST_EXECUTIONS = "workspace:scheduledTasks:listRecords"
    SHOW_EXECUTION = "workspace:scheduledTasks:getRecord"
    LIST_SERVERS = "workspace:server:list"
    SHOW_SERVER = "workspace:server:get"
    LIST_GROUPS = "workspace:serverGroup:list"
    SHOW_GROUP = "workspace:serverGroup:get"
    START_SERVERS = "workspace:server:batchStart"
    STOP_SERVERS = "workspace:server:batchStop"
    RESTART_SERVERS = "workspace:server:batchReboot"
    REINSTALL_SERVERS = "workspace:server:batchReinstall"
    MANAGE_ACCESS = "iam:*:*"


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
    """A key pair with which a user's programs sign requests.

    A temporary one has both of the last two fields: it is good until ``expires_at``, and only together with the
    security token of which it keeps the digest.
    """

    access_key: str
    secret_key: str
    user_id: str
    description: str | None
    enabled: bool
    created_at: datetime
    security_token_digest: str | None = None
    expires_at: datetime | None = None

    def __repr__(self) -> str:
        """Say which it is without the secret: a repr ends in logs."""
        return f"AccessKey(access_key={self.access_key!r}, user_id={self.user_id!r})"


class TemporaryKey(msgspec.Struct, frozen=True, kw_only=True):
    """A temporary access key as it is given to its user, this once: with the security token in clear."""

    access_key: str
    secret_key: str
    security_token: str
    expires_at: datetime

    def __repr__(self) -> str:
        """Say which it is without the secrets: a repr ends in logs."""
        return f"TemporaryKey(access_key={self.access_key!r})"


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Users to whom the same policies are attached at once."""

    group_id: str
    account_id: str
    name: str
    description: str | None
    created_at: datetime


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A policy that an account has written itself; ``document`` is its text, which has been read.

    ``regional`` says of which kind of services it speaks: those in projects, or those of the whole account. It is told
    again and decides nothing.
    """

    policy_id: str
    account_id: str
    name: str
    description: str | None
    regional: bool
    document: str
    created_at: datetime
    updated_at: datetime


class Predefined(msgspec.Struct, frozen=True, kw_only=True):
    """A policy that every account has from the beginning; its name is its id, too."""

    name: str
    document: str


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """A policy counts for a user or a group: one of the first two fields is set, and one of the next two.

    ``predefined`` is the name of a predefined policy. ``project_id`` None counts in every project and in the account.
    """

    policy_id: str | None
    predefined: str | None
    user_id: str | None
    group_id: str | None
    project_id: str | None
    created_at: datetime


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """For whom policies count, and where: a user or a group, in a whole account or in one project."""

    user_id: str | None = None
    group_id: str | None = None
    account_id: str | None = None
    project_id: str | None = None

    def __post_init__(self) -> None:
        if (self.user_id is None) == (self.group_id is None) or (self.account_id is None) == (self.project_id is None):
            raise ValueError("must name a user or a group, and an account or a project")


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
    """What a token stands for, and the regions in which it can be used; ``project`` None is account scope."""

    user: User
    account: Account
    project: Project | None
    regions: tuple[str, ...]
    issued_at: datetime
    expires_at: datetime


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: an authenticated user; ``project_id`` is set when a token ties the call to one project.

    ``temporary`` is who signs with a temporary access key; with that, no other key is to be had. ``policies`` are
    predefined ones, by name, that hold for a caller whom another identity service vouches for.
    """

    user_id: str
    user_name: str
    account_id: str
    administrator: bool
    project_id: str | None
    temporary: bool = False
    policies: tuple[str, ...] = ()


class Signer(msgspec.Struct, frozen=True, kw_only=True):
    """Who signs with an access key, and what it takes to check that; the last two are a temporary key's."""

    caller: Caller
    secret_key: str
    security_token_digest: str | None
    expires_at: datetime | None

    def __repr__(self) -> str:
        """Say who it is without the secret: a repr ends in logs."""
        return f"Signer(caller={self.caller!r})"


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
