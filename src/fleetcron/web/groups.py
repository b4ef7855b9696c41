"""What the operations on groups of users do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fleetcron.errors import Invalid
from fleetcron.web.call import Answer, Call, Deed
from fleetcron.web.replies import answer, base, told
from fleetcron.wire.groups import GroupChanges, NewGroup, say_group, say_groups
from fleetcron.wire.users import say_users


def create_group(call: Call) -> Answer:
    """Make a group in the caller's account."""
    new: NewGroup = call.body.group
    if new.domain_id not in {None, call.asker.account_id}:
        raise Invalid("group.domain_id", "must be the caller's own account")
    group = call.ground.groups.create_group(call.asker, name=new.name, description=new.description, now=call.now)
    return answer({"group": say_group(group, base(call))}, status=201)


def list_groups(call: Call) -> Answer:
    """The groups of the caller's account."""
    return answer(say_groups(call.ground.groups.list_groups(call.asker, call.query.name), base(call)))


def show_group(call: Call) -> Answer:
    """One group."""
    group = call.ground.groups.show_group(call.asker, call.path["group_id"])
    return answer({"group": say_group(group, base(call))})


def update_group(call: Call) -> Answer:
    """Change a group."""
    changes: GroupChanges = call.body.group
    group = call.ground.groups.update_group(
        call.asker, call.path["group_id"], name=told(changes.name), description=told(changes.description)
    )
    return answer({"group": say_group(group, base(call))})


def delete_group(call: Call) -> Answer:
    """Forget a group."""
    call.ground.groups.delete_group(call.asker, call.path["group_id"])
    return Answer(status=204)


def list_members(call: Call) -> Answer:
    """The users in a group."""
    return answer(say_users(call.ground.groups.list_members(call.asker, call.path["group_id"]), base(call)))


def list_groups_of_user(call: Call) -> Answer:
    """The groups that a user is in."""
    return answer(say_groups(call.ground.groups.list_groups_of(call.asker, call.path["user_id"]), base(call)))


def add_member(call: Call) -> Answer:
    """Put a user into a group."""
    call.ground.groups.add_member(call.asker, call.path["group_id"], call.path["user_id"])
    return Answer(status=204)


def check_member(call: Call) -> Answer:
    """Say by the status alone whether a user is in a group."""
    call.ground.groups.check_member(call.asker, call.path["group_id"], call.path["user_id"])
    return Answer(status=204)


def remove_member(call: Call) -> Answer:
    """Take a user out of a group."""
    call.ground.groups.remove_member(call.asker, call.path["group_id"], call.path["user_id"])
    return Answer(status=204)


DEEDS: Final[Mapping[str, Deed]] = {
    "KeystoneCreateGroup": create_group,
    "KeystoneListGroups": list_groups,
    "KeystoneShowGroup": show_group,
    "KeystoneUpdateGroup": update_group,
    "KeystoneDeleteGroup": delete_group,
    "KeystoneListUsersForGroupByAdmin": list_members,
    "KeystoneListGroupsForUser": list_groups_of_user,
    "KeystoneAddUserToGroup": add_member,
    "KeystoneCheckUserInGroup": check_member,
    "KeystoneRemoveUserFromGroup": remove_member,
}
