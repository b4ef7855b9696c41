"""Policies in the words of the vendor's IAM, where they are roles, and the table of their operations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Final, Literal, NotRequired, TypedDict
from urllib.parse import quote

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fleetcron.domain.access import Permission, Policy, Predefined
from fleetcron.wire.fields import Id
from fleetcron.wire.identity import Links, Named, operation, say_links
from fleetcron.wire.operation import Operation
from fleetcron.wire.users import Description

PER_PAGE_MAX = 300

PolicyName = Annotated[
    str,
    Meta(
        max_length=128,
        pattern=r"^[A-Za-z0-9_\u4e00-\u9fa5][A-Za-z0-9_\u4e00-\u9fa5 .,()-]*(?!\n)$",
        description="Letters, digits, Chinese, spaces and `_.,()-`.",
    ),
]
Layer = Literal["AX", "XA"]
"""Of which services it speaks: AX those of the whole account, XA those of a region's project."""


class NewPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """A policy to be. ``policy`` is the document: its characters are kept as they are sent."""

    display_name: PolicyName
    type: Layer
    policy: msgspec.Raw
    description: Description | None = None


class CreatePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The body that makes a policy."""

    role: NewPolicy


class PolicyChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What shall change of a policy; absent is unchanged, an empty description clears it."""

    display_name: PolicyName | UnsetType = UNSET
    type: Layer | UnsetType = UNSET
    policy: msgspec.Raw | UnsetType = UNSET
    description: Description | UnsetType = UNSET


class UpdatePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The body that changes a policy."""

    role: PolicyChanges


class Pages(msgspec.Struct, frozen=True, kw_only=True):
    """Which page of a list is asked for; without ``per_page``, all of it."""

    page: Annotated[int, Meta(ge=1)] = 1
    per_page: Annotated[int, Meta(ge=1, le=PER_PAGE_MAX)] | None = None


class RolesQuery(Pages, frozen=True, kw_only=True):
    """Which of the policies; with ``domain_id``, the account's own without the predefined ones."""

    name: Id | None = None
    display_name: Id | None = None
    domain_id: Id | None = None


class RoleRecord(Named):
    """A policy. The times count milliseconds since 1970; ``references`` counts how often it is attached.

    ``flag`` marks a predefined one, whose id is its name, and which belongs to no account.
    """

    display_name: str
    type: Layer
    catalog: str
    description: str
    policy: msgspec.Raw
    links: Links
    domain_id: str | None
    flag: NotRequired[Literal["fine_grained"]]
    references: NotRequired[int]
    created_time: NotRequired[str]
    updated_time: NotRequired[str]


class RoleAnswer(TypedDict):
    """One policy."""

    role: RoleRecord


class MessageAnswer(TypedDict):
    """That it is done, for people."""

    message: str


class RolesAnswer(TypedDict):
    """Policies; ``total_number`` counts those of all pages."""

    roles: list[RoleRecord]
    links: Links
    total_number: int


def say_role(policy: Policy | Predefined, base: str) -> RoleRecord:
    """One policy; ``base`` is the service's public address."""
    if isinstance(policy, Predefined):
        return {
            "id": policy.name,
            "name": policy.name,
            "display_name": policy.name,
            "type": "XA",
            "catalog": "Workspace",
            "flag": "fine_grained",
            "description": "",
            "policy": msgspec.Raw(policy.document.encode()),
            "links": say_links(f"{base}/v3/roles/{quote(policy.name)}"),
            "domain_id": None,
        }
    return {
        "id": policy.policy_id,
        "name": policy.name,
        "display_name": policy.name,
        "type": "XA" if policy.regional else "AX",
        "catalog": "CUSTOMED",
        "description": policy.description or "",
        "policy": msgspec.Raw(policy.document.encode()),
        "links": say_links(f"{base}/v3/roles/{policy.policy_id}"),
        "domain_id": policy.account_id,
        "created_time": _milliseconds(policy.created_at),
        "updated_time": _milliseconds(policy.updated_at),
    }


def say_roles(policies: Iterable[Policy | Predefined], url: str, base: str, pages: Pages | None = None) -> RolesAnswer:
    """Those of a page, or all; ``url`` is the list's own address."""
    roles: Sequence[RoleRecord] = [say_role(policy, base) for policy in policies]
    total = len(roles)
    if pages is not None and pages.per_page is not None:
        roles = roles[(pages.page - 1) * pages.per_page : pages.page * pages.per_page]
    return {"roles": list(roles), "links": say_links(url), "total_number": total}


def _milliseconds(instant: datetime) -> str:
    return str(int(instant.timestamp() * 1000))


_ROLES: Final = "/v3.0/OS-ROLE/roles"
_ROLE: Final = "/v3.0/OS-ROLE/roles/{role_id}"
_MANAGED: Final = {"permission": Permission.MANAGE_ACCESS, "tag": "Groups and policies"}

_PLACES: Final = {"Domain": "/v3/domains/{domain_id}", "Project": "/v3/projects/{project_id}"}
_HOLDERS: Final = {"Group": "groups/{group_id}", "User": "users/{user_id}"}
_ATTACHED: Final = {"Domain": "account", "Project": "project"}


def _attachments(place: str, holder: str) -> tuple[Operation, ...]:
    """The four operations on what is attached to this kind of holder in this kind of place."""
    path = f"{_PLACES[place]}/{_HOLDERS[holder]}/roles"
    where = f"a {holder.lower()} in the {_ATTACHED[place]}"
    one = f"{path}/{{role_id}}"
    return (
        operation(
            f"KeystoneList{place}PermissionsFor{holder}", "GET", path, f"List the policies attached to {where}",
            answer=RolesAnswer, action=f"iam:permissions:listRolesFor{holder}On{place}", **_MANAGED,
        ),
        operation(
            f"KeystoneAssociate{holder}With{place}Permission", "PUT", one, f"Attach a policy to {where}",
            success=204, action=f"iam:permissions:grantRoleTo{holder}On{place}", **_MANAGED,
        ),
        operation(
            f"KeystoneCheck{place}PermissionFor{holder}", "HEAD", one, f"Check whether a policy is attached to {where}",
            success=204, action=f"iam:permissions:checkRoleFor{holder}On{place}", **_MANAGED,
        ),
        operation(
            f"KeystoneRemove{place}PermissionFrom{holder}", "DELETE", one, f"Detach a policy from {where}",
            success=204, action=f"iam:permissions:revokeRoleFrom{holder}On{place}", **_MANAGED,
        ),
    )  # fmt: skip


OPERATIONS: Final[tuple[Operation, ...]] = (
    operation(
        "KeystoneListPermissions", "GET", "/v3/roles", "List the policies, predefined ones and the account's own",
        query=RolesQuery, answer=RolesAnswer, action="iam:roles:listRoles", **_MANAGED,
    ),
    operation(
        "KeystoneShowPermission", "GET", "/v3/roles/{role_id}", "Show a policy",
        answer=RoleAnswer, action="iam:roles:getRole", **_MANAGED,
    ),
    operation(
        "CreateCloudServiceCustomPolicy", "POST", _ROLES, "Create a policy of the account's own",
        body=CreatePolicy, answer=RoleAnswer, success=201, action="iam:roles:createRole", **_MANAGED,
    ),
    operation(
        "ListCustomPolicies", "GET", _ROLES, "List the account's own policies",
        query=Pages, answer=RolesAnswer, action="iam:roles:listRoles", **_MANAGED,
    ),
    operation(
        "ShowCustomPolicy", "GET", _ROLE, "Show one of the account's own policies",
        answer=RoleAnswer, action="iam:roles:getRole", **_MANAGED,
    ),
    operation(
        "UpdateCloudServiceCustomPolicy", "PATCH", _ROLE, "Change one of the account's own policies",
        body=UpdatePolicy, answer=RoleAnswer, action="iam:roles:updateRole", **_MANAGED,
    ),
    operation(
        "DeleteCustomPolicy", "DELETE", _ROLE, "Delete one of the account's own policies",
        answer=MessageAnswer, action="iam:roles:deleteRole", **_MANAGED,
    ),
    *_attachments("Domain", "Group"),
    *_attachments("Domain", "User"),
    *_attachments("Project", "Group"),
    *_attachments("Project", "User"),
)  # fmt: skip
