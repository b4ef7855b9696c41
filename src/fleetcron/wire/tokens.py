"""Signing in, and what a token stands for, in Keystone's words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final, Literal, NotRequired, TypedDict

import msgspec
from msgspec import Meta

from fleetcron.domain.access import PASSWORD_LENGTH_MAX, AccountScope, ProjectScope, Scope, SignedIn
from fleetcron.wire.fields import Id
from fleetcron.wire.identity import Confidential, Named, NamedInDomain, say_instant

SUBJECT_TOKEN: Final = "X-Subject-Token"  # noqa: S105  (the header's name)

Password = Annotated[str, Meta(max_length=PASSWORD_LENGTH_MAX)]


class DomainNamed(msgspec.Struct, frozen=True, kw_only=True):
    """An account by its name or its id."""

    name: Id | None = None
    id: Id | None = None

    def __post_init__(self) -> None:
        if self.name is None and self.id is None:
            raise ValueError("must have a name or an id")


class ProjectNamed(DomainNamed, frozen=True, kw_only=True):
    """A project by its id, or by its name in an account."""

    domain: DomainNamed | None = None


class TokenScope(msgspec.Struct, frozen=True, kw_only=True):
    """What a token shall be for: one project or the whole account."""

    project: ProjectNamed | None = None
    domain: DomainNamed | None = None

    def __post_init__(self) -> None:
        if (self.project is None) == (self.domain is None):
            raise ValueError("must have either a project or a domain")


class PasswordUser(Confidential, frozen=True, kw_only=True):
    """Who signs in."""

    name: Id
    password: Password
    domain: DomainNamed


class PasswordMethod(Confidential, frozen=True, kw_only=True):
    """Signing in by password."""

    user: PasswordUser


class TokenMethod(Confidential, frozen=True, kw_only=True):
    """Signing in by a token, for another scope."""

    id: Annotated[str, Meta(min_length=1)]


class Identity(Confidential, frozen=True, kw_only=True):
    """How somebody signs in: by password or by token."""

    methods: Annotated[list[Literal["password", "token"]], Meta(min_length=1, max_length=1)]
    password: PasswordMethod | None = None
    token: TokenMethod | None = None

    def __post_init__(self) -> None:
        if self.method() is None:
            raise ValueError(f"must have a {self.methods[0]}, which methods names")

    def method(self) -> PasswordMethod | TokenMethod | None:
        """What the first method needs, None where it is missing."""
        return self.password if self.methods[0] == "password" else self.token


class Auth(Confidential, frozen=True, kw_only=True):
    """Who signs in, and for what."""

    identity: Identity
    scope: TokenScope | Literal["unscoped"] | None = None


class SignIn(Confidential, frozen=True, kw_only=True):
    """The body that asks for a token."""

    auth: Auth

    def method(self) -> PasswordMethod | TokenMethod:
        """By what somebody signs in."""
        method = self.auth.identity.method()
        if method is None:
            raise AssertionError("an identity without its method was read")
        return method

    def scope(self) -> Scope | None:
        """What the token shall be for; None is the whole account, too."""
        scope = self.auth.scope
        if not isinstance(scope, TokenScope):
            return None
        if scope.project is None:
            return AccountScope(account=_account(scope.domain))
        project = scope.project
        return ProjectScope(project_id=project.id, name=project.name, account=_account(project.domain))


class TokenQuery(msgspec.Struct, frozen=True, kw_only=True):
    """With ``nocatalog``, whatever its value, the answer leaves the catalogue out."""

    nocatalog: str | None = None


class Endpoint(TypedDict):
    """Where a service of the catalogue is, in one region."""

    id: str
    interface: str
    region: str
    region_id: str
    url: str


class CatalogService(TypedDict):
    """A service of the catalogue."""

    id: str
    type: str
    name: str
    endpoints: list[Endpoint]


class TokenUser(NamedInDomain):
    """Whose a token is; passwords do not expire here."""

    password_expires_at: str


class TokenRecord(TypedDict):
    """What a token stands for: a project or an account (the domain)."""

    methods: list[str]
    issued_at: str
    expires_at: str
    user: TokenUser
    roles: list[Named]
    catalog: list[CatalogService]
    project: NotRequired[NamedInDomain]
    domain: NotRequired[Named]


class TokenAnswer(TypedDict):
    """A token's meaning; its text is in the header X-Subject-Token."""

    token: TokenRecord


def say_token(signed_in: SignedIn, base: str, query: TokenQuery) -> TokenAnswer:
    """What the token stands for; ``base`` is the service's public address."""
    account: Named = {"id": signed_in.account.account_id, "name": signed_in.account.name}
    user = signed_in.user
    token: TokenRecord = {
        "methods": ["password"],
        "issued_at": say_instant(signed_in.issued_at),
        "expires_at": say_instant(signed_in.expires_at),
        "user": {"id": user.user_id, "name": user.name, "domain": account, "password_expires_at": ""},
        # The vendor's name for the account's administrator; Keystone's for everybody else.
        "roles": [{"id": "0", "name": "te_admin" if user.administrator else "member"}],
        "catalog": [] if query.nocatalog is not None else [_identity(signed_in.regions, base)],
    }
    if signed_in.project is None:
        token["domain"] = account
    else:
        token["project"] = {"id": signed_in.project.project_id, "name": signed_in.project.name, "domain": account}
    return {"token": token}


def _identity(regions: Iterable[str], base: str) -> CatalogService:
    """The identity API itself, which OpenStack's clients look up before they ask it anything but a token."""
    return {
        "id": "identity",
        "type": "identity",
        "name": "keystone",
        "endpoints": [
            {
                "id": "identity-public",
                "interface": "public",
                "region": region,
                "region_id": region,
                "url": f"{base}/v3",
            }
            for region in regions
        ],
    }


def _account(domain: DomainNamed | None) -> str | None:
    """The account by whichever the caller gave, the id before the name."""
    return None if domain is None else domain.id or domain.name
