"""Users and access keys in the words of the vendor's IAM."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, NotRequired, TypedDict

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fleetcron.domain.access import (
    PASSWORD_LENGTH_MAX,
    PASSWORD_LENGTH_MIN,
    TEMPORARY_KEY_SECONDS_MAX,
    TEMPORARY_KEY_SECONDS_MIN,
    AccessKey,
    TemporaryKey,
    User,
)
from fleetcron.wire.fields import Id
from fleetcron.wire.identity import Confidential, Links, Named, say_instant, say_links

NewPassword = Annotated[str, Meta(min_length=PASSWORD_LENGTH_MIN, max_length=PASSWORD_LENGTH_MAX)]
Description = Annotated[str, Meta(max_length=255)]
UserName = Annotated[
    str,
    Meta(
        max_length=64,
        pattern=r"^[A-Za-z_][A-Za-z0-9 _.-]*(?!\n)$",
        description="Letters, digits, spaces, `_`, `.` and `-`; the first is a letter or `_`.",
    ),
]


class NewUser(Confidential, frozen=True, kw_only=True):
    """A user to be; one without a password can only use access keys."""

    name: UserName
    domain_id: Id | None = None
    password: NewPassword | None = None
    enabled: bool = True
    description: Description | None = None


class CreateUser(Confidential, frozen=True, kw_only=True):
    """The body that makes a user."""

    user: NewUser


class UserChanges(Confidential, frozen=True, kw_only=True):
    """What shall change of a user; absent is unchanged, an empty description clears it."""

    password: NewPassword | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    name: UserName | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.name is not UNSET:
            raise ValueError("the name cannot be changed")


class UpdateUser(Confidential, frozen=True, kw_only=True):
    """The body that changes a user."""

    user: UserChanges


class NewCredential(msgspec.Struct, frozen=True, kw_only=True):
    """An access key to be; without ``user_id`` it is for whoever asks."""

    user_id: Id | None = None
    description: Description | None = None


class CreateCredential(msgspec.Struct, frozen=True, kw_only=True):
    """The body that makes an access key."""

    credential: NewCredential = NewCredential()


class TemporaryToken(Confidential, frozen=True, kw_only=True):
    """For how long the key shall be good; ``id`` is the token that asks, once more."""

    id: Annotated[str, Meta(min_length=1)] | None = None
    duration_seconds: Annotated[int, Meta(ge=TEMPORARY_KEY_SECONDS_MIN, le=TEMPORARY_KEY_SECONDS_MAX)] = (
        TEMPORARY_KEY_SECONDS_MIN
    )


class TemporaryIdentity(Confidential, frozen=True, kw_only=True):
    """For whom the key shall be: for the caller is the only way.

    A ``policy`` that says what the key may do is refused: to pass it over would leave a key that may do more.
    """

    methods: Annotated[list[Literal["token"]], Meta(min_length=1, max_length=1)]
    token: TemporaryToken = TemporaryToken()
    policy: UnsetType | None = UNSET


class TemporaryAuth(Confidential, frozen=True, kw_only=True):
    """For whom the key shall be."""

    identity: TemporaryIdentity


class CreateTemporaryCredential(Confidential, frozen=True, kw_only=True):
    """The body that makes an access key that ends by itself."""

    auth: TemporaryAuth


class ByUser(msgspec.Struct, frozen=True, kw_only=True):
    """A list's filter: this user's; without it, one's own."""

    user_id: Id | None = None


class UserRecord(Named):
    """A user; ``pwd_status`` true would be a password that has to be changed first."""

    domain_id: str
    enabled: bool
    description: str
    pwd_status: bool
    password_expires_at: str | None
    links: Links


class UserAnswer(TypedDict):
    """One user."""

    user: UserRecord


class UsersAnswer(TypedDict):
    """Users."""

    users: list[UserRecord]
    links: Links


class CredentialRecord(TypedDict):
    """An access key; its secret is shown only when it is made."""

    access: str
    secret: NotRequired[str]
    user_id: str
    status: Literal["active", "inactive"]
    create_time: str
    description: str


class CredentialAnswer(TypedDict):
    """One access key."""

    credential: CredentialRecord


class TemporaryCredentialRecord(TypedDict):
    """A temporary access key; whoever signs with it sends the security token along."""

    access: str
    secret: str
    securitytoken: str
    expires_at: str


class TemporaryCredentialAnswer(TypedDict):
    """One temporary access key."""

    credential: TemporaryCredentialRecord


class CredentialsAnswer(TypedDict):
    """Access keys."""

    credentials: list[CredentialRecord]


def say_user(user: User, base: str) -> UserRecord:
    """One user; ``base`` is the service's public address."""
    return {
        "id": user.user_id,
        "name": user.name,
        "domain_id": user.account_id,
        "enabled": user.enabled,
        "description": user.description or "",
        "pwd_status": False,
        "password_expires_at": None,
        "links": say_links(f"{base}/v3/users/{user.user_id}"),
    }


def say_users(users: Iterable[User], base: str) -> UsersAnswer:
    """All of them."""
    return {"users": [say_user(user, base) for user in users], "links": say_links(f"{base}/v3/users")}


def say_credential(key: AccessKey) -> CredentialRecord:
    """An access key without its secret."""
    return {
        "access": key.access_key,
        "user_id": key.user_id,
        "status": "active" if key.enabled else "inactive",
        "create_time": say_instant(key.created_at),
        "description": key.description or "",
    }


def say_new_credential(key: AccessKey) -> CredentialAnswer:
    """An access key with its secret, this once."""
    return {"credential": {**say_credential(key), "secret": key.secret_key}}


def say_temporary_credential(key: TemporaryKey) -> TemporaryCredentialAnswer:
    """A temporary access key with its secrets, this once."""
    return {
        "credential": {
            "access": key.access_key,
            "secret": key.secret_key,
            "securitytoken": key.security_token,
            "expires_at": say_instant(key.expires_at),
        }
    }
