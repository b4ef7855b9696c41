"""The identity API: versions, projects and accounts in Keystone's words, and the table of its operations.

Shapes: Keystone v3 as keystoneauth1 reads it, and the vendor's IAM as its SDK ``huaweicloudsdkiam`` does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypedDict

import msgspec

from fleetcron.domain.access import Account, Permission, Project
from fleetcron.wire.fields import Id
from fleetcron.wire.identity import Links, Named, say_links
from fleetcron.wire.operation import Dialect, Operation
from fleetcron.wire.tokens import SignIn, TokenAnswer
from fleetcron.wire.users import (
    ByUser,
    CreateCredential,
    CreateUser,
    CredentialAnswer,
    CredentialsAnswer,
    UpdateUser,
    UserAnswer,
    UsersAnswer,
)


class ByName(msgspec.Struct, frozen=True, kw_only=True):
    """A list's filter: this name alone."""

    name: Id | None = None


class ProjectRecord(Named):
    """A project."""

    domain_id: str
    parent_id: str
    enabled: bool
    is_domain: bool
    description: str
    links: Links


class ProjectsAnswer(TypedDict):
    """Projects."""

    projects: list[ProjectRecord]
    links: Links


class DomainRecord(Named):
    """An account."""

    enabled: bool
    description: str
    links: Links


class DomainsAnswer(TypedDict):
    """Accounts."""

    domains: list[DomainRecord]
    links: Links


Version = TypedDict(
    "Version",
    {
        "id": str,
        "status": str,
        "updated": str,
        "links": list[dict[str, str]],
        "media-types": list[dict[str, str]],
    },
)


class VersionAnswer(TypedDict):
    """The one version that there is."""

    version: Version


class VersionList(TypedDict):
    """Versions, one level deeper than one would think."""

    values: list[Version]


class VersionsAnswer(TypedDict):
    """All versions, of which there is one."""

    versions: VersionList


def say_version(base: str) -> Version:
    """Keystone v3 at the service's public address ``base``: what clients look for before they sign in."""
    return {
        "id": "v3.6",
        "status": "stable",
        "updated": "2016-04-04T00:00:00Z",
        "links": [{"rel": "self", "href": f"{base}/v3"}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
    }


def say_projects(projects: Iterable[Project], base: str) -> ProjectsAnswer:
    """All of them."""
    return {"projects": [_project(project, base) for project in projects], "links": say_links(f"{base}/v3/projects")}


def say_domains(accounts: Iterable[Account], base: str) -> DomainsAnswer:
    """All of them."""
    return {"domains": [_domain(account, base) for account in accounts], "links": say_links(f"{base}/v3/auth/domains")}


def _project(project: Project, base: str) -> ProjectRecord:
    return {
        "id": project.project_id,
        "name": project.name,
        "domain_id": project.account_id,
        "parent_id": project.account_id,
        "enabled": True,
        "is_domain": False,
        "description": "",
        "links": say_links(f"{base}/v3/projects/{project.project_id}"),
    }


def _domain(account: Account, base: str) -> DomainRecord:
    return {
        "id": account.account_id,
        "name": account.name,
        "enabled": True,
        "description": "",
        "links": say_links(f"{base}/v3/domains/{account.account_id}"),
    }


def _operation(id: str, method: str, path: str, summary: str, **more: Any) -> Operation:  # noqa: A002, ANN401  (the row's own names)
    faults = {status: str(status) for status in (400, 401, 403, 404, 405, 409, 500, 503)}
    return Operation(
        id=id,
        method=method,
        path=path,
        summary=summary,
        faults=faults,
        dialect=Dialect.IDENTITY,
        **{"tag": "Sign-in"} | more,
    )


_MANAGED: Final = {"permission": Permission.MANAGE_ACCESS, "tag": "Users and keys"}

OPERATIONS: Final[tuple[Operation, ...]] = (
    _operation(
        "KeystoneListVersions", "GET", "/", "Show the versions of the identity API",
        answer=VersionsAnswer, open_to_all=True,
    ),
    _operation(
        "KeystoneShowVersion", "GET", "/v3", "Show version 3 of the identity API",
        answer=VersionAnswer, open_to_all=True,
    ),
    _operation(
        "KeystoneCreateUserTokenByPassword", "POST", "/v3/auth/tokens", "Sign in by password and get a token",
        body=SignIn, answer=TokenAnswer, success=201, open_to_all=True,
    ),
    _operation("KeystoneValidateToken", "GET", "/v3/auth/tokens", "Show what a token stands for", answer=TokenAnswer),
    _operation("KeystoneRevokeToken", "DELETE", "/v3/auth/tokens", "End a token", success=204),
    _operation(
        "KeystoneListProjects", "GET", "/v3/projects", "List the projects",
        query=ByName, answer=ProjectsAnswer, action="iam:projects:listProjects",
    ),
    _operation(
        "KeystoneListAuthProjects", "GET", "/v3/auth/projects", "List the projects that the caller may use",
        answer=ProjectsAnswer,
    ),
    _operation(
        "KeystoneListAuthDomains", "GET", "/v3/auth/domains", "List the accounts that the caller may use",
        answer=DomainsAnswer,
    ),
    _operation(
        "KeystoneCreateUser", "POST", "/v3/users", "Create a user",
        body=CreateUser, answer=UserAnswer, success=201, action="iam:users:createUser", **_MANAGED,
    ),
    _operation(
        "KeystoneListUsers", "GET", "/v3/users", "List the users",
        query=ByName, answer=UsersAnswer, action="iam:users:listUsers", **_MANAGED,
    ),
    _operation(
        "KeystoneShowUser", "GET", "/v3/users/{user_id}", "Show a user",
        answer=UserAnswer, action="iam:users:getUser", **_MANAGED,
    ),
    _operation(
        "KeystoneUpdateUserByAdmin", "PATCH", "/v3/users/{user_id}", "Change a user",
        body=UpdateUser, answer=UserAnswer, action="iam:users:updateUser", **_MANAGED,
    ),
    _operation(
        "KeystoneDeleteUser", "DELETE", "/v3/users/{user_id}", "Delete a user, its access keys and tokens",
        success=204, action="iam:users:deleteUser", **_MANAGED,
    ),
    _operation(
        "CreatePermanentAccessKey", "POST", "/v3.0/OS-CREDENTIAL/credentials", "Create an access key",
        body=CreateCredential, answer=CredentialAnswer, success=201,
        action="iam:credentials:createCredential", **_MANAGED,
    ),
    _operation(
        "ListPermanentAccessKeys", "GET", "/v3.0/OS-CREDENTIAL/credentials", "List a user's access keys",
        query=ByUser, answer=CredentialsAnswer, action="iam:credentials:listCredentials", **_MANAGED,
    ),
    _operation(
        "ShowPermanentAccessKey", "GET", "/v3.0/OS-CREDENTIAL/credentials/{access_key}", "Show an access key",
        answer=CredentialAnswer, action="iam:credentials:getCredential", **_MANAGED,
    ),
    _operation(
        "DeletePermanentAccessKey", "DELETE", "/v3.0/OS-CREDENTIAL/credentials/{access_key}", "Delete an access key",
        success=204, action="iam:credentials:deleteCredential", **_MANAGED,
    ),
)  # fmt: skip
