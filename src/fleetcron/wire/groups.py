"""Groups of users in the words of the vendor's IAM, and the table of their operations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final, TypedDict

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fleetcron.domain.access import Group, Permission
from fleetcron.wire.fields import Id
from fleetcron.wire.identity import ByName, Links, Named, operation, say_links
from fleetcron.wire.users import Description, UsersAnswer

GroupName = Annotated[
    str,
    Meta(
        max_length=128,
        pattern=r"^[A-Za-z0-9_\u4e00-\u9fa5][A-Za-z0-9_\u4e00-\u9fa5 .,()-]*(?!\n)$",
        description="Letters, digits, Chinese, spaces and `_.,()-`.",
    ),
]


class NewGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A group to be."""

    name: GroupName
    domain_id: Id | None = None
    description: Description | None = None


class CreateGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The body that makes a group."""

    group: NewGroup


class GroupChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What shall change of a group; absent is unchanged, an empty description clears it."""

    name: GroupName | UnsetType = UNSET
    description: Description | UnsetType = UNSET


class UpdateGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The body that changes a group."""

    group: GroupChanges


class GroupRecord(Named):
    """A group; ``create_time`` counts milliseconds since 1970."""

    domain_id: str
    description: str
    create_time: int
    links: Links


class GroupAnswer(TypedDict):
    """One group."""

    group: GroupRecord


class GroupsAnswer(TypedDict):
    """Groups."""

    groups: list[GroupRecord]
    links: Links


def say_group(group: Group, base: str) -> GroupRecord:
    """One group; ``base`` is the service's public address."""
    return {
        "id": group.group_id,
        "name": group.name,
        "domain_id": group.account_id,
        "description": group.description or "",
        "create_time": int(group.created_at.timestamp() * 1000),
        "links": say_links(f"{base}/v3/groups/{group.group_id}"),
    }


def say_groups(groups: Iterable[Group], base: str) -> GroupsAnswer:
    """All of them."""
    return {"groups": [say_group(group, base) for group in groups], "links": say_links(f"{base}/v3/groups")}


_GROUP: Final = "/v3/groups/{group_id}"
_MEMBER: Final = "/v3/groups/{group_id}/users/{user_id}"
_MANAGED: Final = {"permission": Permission.MANAGE_ACCESS, "tag": "Groups and policies"}

OPERATIONS: Final = (
    operation(
        "KeystoneCreateGroup", "POST", "/v3/groups", "Create a group of users",
        body=CreateGroup, answer=GroupAnswer, success=201, action="iam:groups:createGroup", **_MANAGED,
    ),
    operation(
        "KeystoneListGroups", "GET", "/v3/groups", "List the groups of users",
        query=ByName, answer=GroupsAnswer, action="iam:groups:listGroups", **_MANAGED,
    ),
    operation(
        "KeystoneShowGroup", "GET", _GROUP, "Show a group of users",
        answer=GroupAnswer, action="iam:groups:getGroup", **_MANAGED,
    ),
    operation(
        "KeystoneUpdateGroup", "PATCH", _GROUP, "Change a group of users",
        body=UpdateGroup, answer=GroupAnswer, action="iam:groups:updateGroup", **_MANAGED,
    ),
    operation(
        "KeystoneDeleteGroup", "DELETE", _GROUP, "Delete a group of users, and what is attached to it",
        success=204, action="iam:groups:deleteGroup", **_MANAGED,
    ),
    operation(
        "KeystoneListUsersForGroupByAdmin", "GET", "/v3/groups/{group_id}/users", "List the users in a group",
        answer=UsersAnswer, action="iam:users:listUsersForGroup", **_MANAGED,
    ),
    operation(
        "KeystoneListGroupsForUser", "GET", "/v3/users/{user_id}/groups", "List the groups that a user is in",
        answer=GroupsAnswer, action="iam:groups:listGroupsForUser", **_MANAGED,
    ),
    operation(
        "KeystoneAddUserToGroup", "PUT", _MEMBER, "Put a user into a group",
        success=204, action="iam:permissions:addUserToGroup", **_MANAGED,
    ),
    operation(
        "KeystoneCheckUserInGroup", "HEAD", _MEMBER, "Check whether a user is in a group",
        success=204, action="iam:permissions:checkUserInGroup", **_MANAGED,
    ),
    operation(
        "KeystoneRemoveUserFromGroup", "DELETE", _MEMBER, "Take a user out of a group",
        success=204, action="iam:permissions:removeUserFromGroup", **_MANAGED,
    ),
)  # fmt: skip
