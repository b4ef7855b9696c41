"""What administrators ask about groups of users."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from builders import NOW
from fleetcron.control import users
from fleetcron.control.groups import Groups
from fleetcron.domain.access import Caller, Group, User
from fleetcron.errors import Conflict, Forbidden, NotFound
from fleetcron.store.database import Database

ADMIN = Caller(user_id="u-admin", user_name="admin", account_id="default", administrator=True, project_id=None)
ADA = msgspec.structs.replace(ADMIN, user_id="u-ada", user_name="ada", administrator=False)
MALLORY = msgspec.structs.replace(ADMIN, user_id="u-m", user_name="mallory", account_id="elsewhere")


@pytest.fixture
def groups(database: Database) -> Groups:
    with database.transaction() as tx:
        for name in ("ada", "bob"):
            user = User(
                user_id=f"u-{name}",
                account_id="default",
                name=name,
                description=None,
                password_hash="a hash",
                administrator=False,
                enabled=True,
                created_at=NOW,
            )
            users.add(tx, user)
    return Groups(database)


@pytest.fixture
def ops(groups: Groups) -> Group:
    return groups.create_group(ADMIN, name="ops", description="the night shift", now=NOW)


def names(found: list[Group] | list[User]) -> list[str]:
    return [one.name for one in found]


def test_a_group_is_made_shown_changed_and_deleted(groups: Groups, ops: Group) -> None:
    assert groups.show_group(ADMIN, ops.group_id) == ops
    assert groups.list_groups(ADMIN) == groups.list_groups(ADMIN, "ops") == [ops]
    changed = groups.update_group(ADMIN, ops.group_id, name="day", description="")
    assert (changed.name, changed.description) == ("day", None)
    assert groups.update_group(ADMIN, ops.group_id, name="day") == changed
    assert groups.show_group(ADMIN, ops.group_id) == changed
    groups.delete_group(ADMIN, ops.group_id)
    with pytest.raises(NotFound):
        groups.show_group(ADMIN, ops.group_id)


def test_a_name_is_given_once(groups: Groups, ops: Group) -> None:
    with pytest.raises(Conflict, match="ops"):
        groups.create_group(ADMIN, name="ops", description=None, now=NOW)
    other = groups.create_group(ADMIN, name="other", description=None, now=NOW)
    with pytest.raises(Conflict, match="ops"):
        groups.update_group(ADMIN, other.group_id, name="ops")


def test_an_account_has_only_so_many_groups(groups: Groups, ops: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleetcron.control.groups.GROUPS_MAX", 1)
    with pytest.raises(Conflict, match="1 groups"):
        groups.create_group(ADMIN, name="one too many", description=None, now=NOW)


def test_members_come_and_go(groups: Groups, ops: Group) -> None:
    for user_id in ("u-bob", "u-ada", "u-ada"):
        groups.add_member(ADMIN, ops.group_id, user_id)
    groups.check_member(ADMIN, ops.group_id, "u-ada")
    assert names(groups.list_members(ADMIN, ops.group_id)) == ["ada", "bob"]
    groups.remove_member(ADMIN, ops.group_id, "u-ada")
    for ask in (groups.check_member, groups.remove_member):
        with pytest.raises(NotFound):
            ask(ADMIN, ops.group_id, "u-ada")
    assert names(groups.list_members(ADMIN, ops.group_id)) == ["bob"]


def test_users_may_ask_which_groups_they_are_in(groups: Groups, ops: Group) -> None:
    groups.add_member(ADMIN, ops.group_id, "u-ada")
    assert groups.list_groups_of(ADA, "u-ada") == groups.list_groups_of(ADMIN, "u-ada") == [ops]
    assert groups.list_groups_of(ADMIN, "u-bob") == []
    with pytest.raises(Forbidden):
        groups.list_groups_of(ADA, "u-bob")


DEEDS: dict[str, Callable[[Groups, Caller, str], object]] = {
    "show": lambda groups, caller, group_id: groups.show_group(caller, group_id),
    "update": lambda groups, caller, group_id: groups.update_group(caller, group_id, name="mine"),
    "delete": lambda groups, caller, group_id: groups.delete_group(caller, group_id),
    "members": lambda groups, caller, group_id: groups.list_members(caller, group_id),
    "add": lambda groups, caller, group_id: groups.add_member(caller, group_id, "u-ada"),
    "check": lambda groups, caller, group_id: groups.check_member(caller, group_id, "u-ada"),
    "remove": lambda groups, caller, group_id: groups.remove_member(caller, group_id, "u-ada"),
}
EACH = pytest.mark.parametrize("deed", DEEDS)


@EACH
def test_who_is_no_administrator_manages_no_group(groups: Groups, ops: Group, deed: str) -> None:
    for group_id in (ops.group_id, "nothing"):
        with pytest.raises(Forbidden, match="ada is not an administrator"):
            DEEDS[deed](groups, ADA, group_id)
    assert groups.show_group(ADMIN, ops.group_id) == ops
    assert groups.list_members(ADMIN, ops.group_id) == []


def test_who_is_no_administrator_neither_makes_nor_lists_groups(groups: Groups) -> None:
    with pytest.raises(Forbidden):
        groups.create_group(ADA, name="mine", description=None, now=NOW)
    with pytest.raises(Forbidden):
        groups.list_groups(ADA)


@EACH
def test_what_is_in_another_account_is_not_found(groups: Groups, ops: Group, deed: str) -> None:
    with pytest.raises(NotFound):
        DEEDS[deed](groups, MALLORY, ops.group_id)
    with pytest.raises(NotFound):
        DEEDS[deed](groups, ADMIN, "nothing")
    assert groups.list_groups(MALLORY) == []


def test_a_stranger_is_put_into_no_group(groups: Groups, ops: Group) -> None:
    with pytest.raises(NotFound):
        groups.add_member(ADMIN, ops.group_id, "nobody")
