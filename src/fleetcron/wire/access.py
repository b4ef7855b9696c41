"""The identity API: versions, projects and accounts in Keystone's words, and the table of its operations.

Shapes: Keystone v3 as keystoneauth1 reads it, and the vendor's IAM as its SDK ``huaweicloudsdkiam`` does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypedDict

from fleetcron.domain.access import Account, Permission, Project
from fleetcron.wire.identity import ByName, Links, Named, operation, say_links
from fleetcron.wire.operation import Operation
from fleetcron.wire.tokens import SignIn, TokenAnswer, TokenQuery
from fleetcron.wire.users import (
    ByUser,
    CreateCredential,
    CreateTemporaryCredential,
    CreateUser,
    CredentialAnswer,
    CredentialsAnswer,
    TemporaryCredentialAnswer,
    UpdateUser,
    UserAnswer,
    UsersAnswer,
)


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


class ProjectAnswer(TypedDict):
    """One project."""

    project: ProjectRecord


class DomainRecord(Named):
    """An account."""

    enabled: bool
    description: str
    links: Links


class DomainAnswer(TypedDict):
    """One account."""

    domain: DomainRecord


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
    return {"projects": [say_project(project, base) for project in projects], "links": say_links(f"{base}/v3/projects")}


def say_domains(accounts: Iterable[Account], base: str) -> DomainsAnswer:
    """All of them."""
    return {
        "domains": [say_domain(account, base) for account in accounts],
        "links": say_links(f"{base}/v3/auth/domains"),
    }


def say_project(project: Project, base: str) -> ProjectRecord:
    """One project; ``base`` is the service's public address."""
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


def say_domain(account: Account, base: str) -> DomainRecord:
    """One account."""
    return {
        "id": account.account_id,
        "name": account.name,
        "enabled": True,
        "description": "",
        "links": say_links(f"{base}/v3/domains/{account.account_id}"),
    }


_MANAGED: Final = {"permission": Permission.MANAGE_ACCESS, "tag": "Users and keys"}

OPERATIONS: Final[tuple[Operation, ...]] = (
    operation(
        "KeystoneListVersions", "GET", "/", "Show the versions of the identity API",
        answer=VersionsAnswer, open_to_all=True,
    ),
    operation(
        "KeystoneShowVersion", "GET", "/v3", "Show version 3 of the identity API",
        answer=VersionAnswer, open_to_all=True,
    ),
    operation(
        "KeystoneCreateUserTokenByPassword", "POST", "/v3/auth/tokens",
        "Sign in by password, or by a token for another scope, and get a token",
        query=TokenQuery, body=SignIn, answer=TokenAnswer, success=201, open_to_all=True,
    ),
    operation(
        "KeystoneValidateToken", "GET", "/v3/auth/tokens", "Show what a token stands for",
        query=TokenQuery, answer=TokenAnswer,
    ),
    operation("KeystoneRevokeToken", "DELETE", "/v3/auth/tokens", "End a token", success=204),
    operation(
        "KeystoneListProjects", "GET", "/v3/projects", "List the projects",
        query=ByName, answer=ProjectsAnswer, action="iam:projects:listProjects",
    ),
    operation(
        "KeystoneShowProject", "GET", "/v3/projects/{project_id}", "Show a project",
        answer=ProjectAnswer, action="iam:projects:getProject",
    ),
    operation(
        "KeystoneListProjectsForUser", "GET", "/v3/users/{user_id}/projects", "List the projects that a user may use",
        answer=ProjectsAnswer, action="iam:projects:listProjectsForUser", **_MANAGED,
    ),
    operation(
        "KeystoneListDomains", "GET", "/v3/domains", "List the accounts: the caller's own",
        query=ByName, answer=DomainsAnswer,
    ),
    operation("KeystoneShowDomain", "GET", "/v3/domains/{domain_id}", "Show an account", answer=DomainAnswer),
    operation(
        "KeystoneListAuthProjects", "GET", "/v3/auth/projects", "List the projects that the caller may use",
        answer=ProjectsAnswer,
    ),
    operation(
        "KeystoneListAuthDomains", "GET", "/v3/auth/domains", "List the accounts that the caller may use",
        answer=DomainsAnswer,
    ),
    operation(
        "KeystoneCreateUser", "POST", "/v3/users", "Create a user",
        body=CreateUser, answer=UserAnswer, success=201, action="iam:users:createUser", **_MANAGED,
    ),
    operation(
        "KeystoneListUsers", "GET", "/v3/users", "List the users",
        query=ByName, answer=UsersAnswer, action="iam:users:listUsers", **_MANAGED,
    ),
    operation(
        "KeystoneShowUser", "GET", "/v3/users/{user_id}", "Show a user",
        answer=UserAnswer, action="iam:users:getUser", **_MANAGED,
    ),
    operation(
        "KeystoneUpdateUserByAdmin", "PATCH", "/v3/users/{user_id}", "Change a user",
        body=UpdateUser, answer=UserAnswer, action="iam:users:updateUser", **_MANAGED,
    ),
    operation(
        "KeystoneDeleteUser", "DELETE", "/v3/users/{user_id}", "Delete a user, its access keys and tokens",
        success=204, action="iam:users:deleteUser", **_MANAGED,
    ),
    operation(
        "CreatePermanentAccessKey", "POST", "/v3.0/OS-CREDENTIAL/credentials", "Create an access key",
        body=CreateCredential, answer=CredentialAnswer, success=201,
        action="iam:credentials:createCredential", **_MANAGED,
    ),
    operation(
        "ListPermanentAccessKeys", "GET", "/v3.0/OS-CREDENTIAL/credentials", "List a user's access keys",
        query=ByUser, answer=CredentialsAnswer, action="iam:credentials:listCredentials", **_MANAGED,
    ),
    operation(
        "ShowPermanentAccessKey", "GET", "/v3.0/OS-CREDENTIAL/credentials/{access_key}", "Show an access key",
        answer=CredentialAnswer, action="iam:credentials:getCredential", **_MANAGED,
    ),
    operation(
        "DeletePermanentAccessKey", "DELETE", "/v3.0/OS-CREDENTIAL/credentials/{access_key}", "Delete an access key",
        success=204, action="iam:credentials:deleteCredential", **_MANAGED,
    ),
    operation(
        "CreateTemporaryAccessKeyByToken", "POST", "/v3.0/OS-CREDENTIAL/securitytokens",
        "Create an access key that ends by itself",
        body=CreateTemporaryCredential, answer=TemporaryCredentialAnswer, success=201, tag="Users and keys",
    ),
)  # fmt: skip
