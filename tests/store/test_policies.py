"""Groups of users, policies, and to whom policies are attached, in the database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from builders import NOW
from fleetcron.domain.access import Account, Attachment, Group, Holder, Policy, User
from fleetcron.errors import Constrained
from fleetcron.store import access
from fleetcron.store import policies as store
from fleetcron.store.database import Database, Transaction

DOCUMENT = '{"Version":"1.1","Statement":[{"Effect":"Allow","Action":["workspace:*:*"]}]}'
OPS = Group(group_id="g-ops", account_id="default", name="ops", description="the night shift", created_at=NOW)


def a_user(name: str) -> User:
    return User(
        user_id=f"u-{name}",
        account_id="default",
        name=name,
        description=None,
        password_hash="a hash",
        administrator=False,
        enabled=True,
        created_at=NOW,
    )


def a_policy(name: str = "own", **other: object) -> Policy:
    policy = Policy(
        policy_id=f"id-of-{name}",
        account_id="default",
        name=name,
        description=None,
        regional=True,
        document=DOCUMENT,
        created_at=NOW,
        updated_at=NOW,
    )
    return msgspec.structs.replace(policy, **other)


def attached(
    policy: str = "id-of-own",
    *,
    user_id: str | None = None,
    group_id: str | None = None,
    project_id: str | None = None,
    predefined: bool = False,
) -> Attachment:
    return Attachment(
        policy_id=None if predefined else policy,
        predefined=policy if predefined else None,
        user_id=user_id,
        group_id=group_id,
        project_id=project_id,
        created_at=NOW,
    )


@pytest.fixture
def peopled(database: Database) -> Database:
    """The database with ada and bob, the group ops and a policy."""
    with database.transaction() as tx:
        for name in ("ada", "bob"):
            access.insert_user(tx, a_user(name))
        store.insert_group(tx, OPS)
        store.insert_policy(tx, a_policy())
    return database


@pytest.fixture
def tx(peopled: Database) -> Iterator[Transaction]:
    with peopled.transaction() as tx:
        yield tx


def test_what_was_written_is_read_back(tx: Transaction) -> None:
    assert store.find_group(tx, "g-ops") == OPS
    assert store.list_groups(tx, "default") == store.list_groups(tx, "default", name="ops") == [OPS]
    assert store.find_policy(tx, "id-of-own") == a_policy()
    assert store.list_policies(tx, "default") == store.list_policies(tx, "default", name="own") == [a_policy()]
    store.insert_attachment(tx, attached(user_id="u-ada", project_id="p1"))
    assert store.list_attachments(tx, Holder(user_id="u-ada", project_id="p1")) == [
        attached(user_id="u-ada", project_id="p1")
    ]


def test_what_is_not_there_is_none(tx: Transaction) -> None:
    assert store.find_group(tx, "g") is None
    assert store.find_policy(tx, "p") is None
    assert store.list_groups(tx, "other") == store.list_groups(tx, "default", name="Ops") == []
    assert store.list_policies(tx, "other") == store.list_policies(tx, "default", name="") == []
    assert store.list_documents(tx, "u-ada", "p1") == []
    assert not store.delete_member(tx, "g-ops", "u-ada")
    assert not store.delete_attachment(tx, attached(user_id="u-ada"))


def test_a_name_is_taken_once_in_an_account(tx: Transaction) -> None:
    access.insert_account(tx, Account(account_id="other", name="other", created_at=NOW))
    assert not store.insert_group(tx, msgspec.structs.replace(OPS, group_id="2"))
    assert store.insert_group(tx, msgspec.structs.replace(OPS, group_id="2", account_id="other"))
    assert not store.insert_policy(tx, a_policy(policy_id="2"))
    assert store.insert_policy(tx, a_policy(policy_id="2", account_id="other"))


def test_changes_are_written_and_nothing_else(tx: Transaction) -> None:
    changed = a_policy(
        policy_id="id-of-own",
        name="renamed",
        description="d",
        regional=False,
        document="{}",
        updated_at=NOW + timedelta(hours=1),
    )
    store.update_policy(tx, changed)
    assert store.find_policy(tx, "id-of-own") == changed
    store.update_group(tx, msgspec.structs.replace(OPS, name="day", description=None))
    assert store.find_group(tx, "g-ops") == msgspec.structs.replace(OPS, name="day", description=None)


def test_members_come_and_go_and_none_twice(tx: Transaction) -> None:
    for name in ("bob", "ada", "ada"):
        store.insert_member(tx, "g-ops", f"u-{name}")
    assert [user.name for user in store.list_members(tx, "g-ops")] == ["ada", "bob"]
    assert store.list_groups_of(tx, "u-ada") == [OPS]
    assert store.has_member(tx, "g-ops", "u-ada")
    assert store.delete_member(tx, "g-ops", "u-ada")
    assert not store.has_member(tx, "g-ops", "u-ada")
    access.delete_user(tx, "u-bob")
    assert store.list_members(tx, "g-ops") == []


def test_a_users_policies_are_its_own_and_its_groups_in_this_place(tx: Transaction) -> None:
    store.insert_member(tx, "g-ops", "u-ada")
    for name in ("everywhere", "here", "there"):
        store.insert_policy(tx, a_policy(name, document=name))
    store.insert_attachment(tx, attached("id-of-everywhere", group_id="g-ops"))
    store.insert_attachment(tx, attached("id-of-here", user_id="u-ada", project_id="p1"))
    store.insert_attachment(tx, attached("id-of-there", group_id="g-ops", project_id="p2"))
    store.insert_attachment(tx, attached("Workspace ReadOnlyAccess", user_id="u-ada", predefined=True))
    everywhere = [("Workspace ReadOnlyAccess", None), ("everywhere", "everywhere")]
    assert store.list_documents(tx, "u-ada", "p1") == [*everywhere, ("here", "here")]
    assert store.list_documents(tx, "u-ada", "p2") == [*everywhere, ("there", "there")]
    assert store.list_documents(tx, "u-ada", None) == everywhere
    assert store.list_documents(tx, "u-bob", "p1") == []


def test_a_policy_is_attached_once_in_each_place(tx: Transaction) -> None:
    places: list[dict[str, Any]] = [
        {"user_id": "u-ada"},
        {"user_id": "u-ada", "project_id": "p1"},
        {"group_id": "g-ops"},
    ]
    for place in places:
        for _ in range(2):
            store.insert_attachment(tx, attached(**place))
            store.insert_attachment(tx, attached("P", predefined=True, **place))
    assert store.count_attachments(tx, "id-of-own") == 3
    assert store.count_held(tx, Holder(user_id="u-ada", account_id="default")) == 4
    assert store.delete_attachment(tx, attached(user_id="u-ada"))
    assert not store.has_attachment(tx, attached(user_id="u-ada"))
    assert store.has_attachment(tx, attached(user_id="u-ada", project_id="p1"))
    assert store.has_attachment(tx, attached("P", predefined=True, user_id="u-ada"))


def test_whoever_goes_takes_its_attachments_along(tx: Transaction) -> None:
    store.insert_attachment(tx, attached(user_id="u-ada"))
    store.insert_attachment(tx, attached(group_id="g-ops"))
    access.delete_user(tx, "u-ada")
    assert store.count_attachments(tx, "id-of-own") == 1
    store.delete_group(tx, "g-ops")
    assert store.count_attachments(tx, "id-of-own") == 0
    store.delete_policy(tx, "id-of-own")
    assert store.find_policy(tx, "id-of-own") is None


def test_a_policy_that_is_attached_cannot_go(peopled: Database) -> None:
    with peopled.transaction() as tx:
        store.insert_attachment(tx, attached(user_id="u-ada"))
    with pytest.raises(Constrained), peopled.transaction() as tx:
        store.delete_policy(tx, "id-of-own")


@pytest.mark.parametrize(
    "wrong",
    [
        attached(),
        attached(user_id="u-ada", group_id="g-ops"),
        attached(user_id="nobody"),
        attached(group_id="nothing"),
        attached(user_id="u-ada", project_id="nowhere"),
        attached("nothing", user_id="u-ada"),
        msgspec.structs.replace(attached(user_id="u-ada"), predefined="P"),
        msgspec.structs.replace(attached(user_id="u-ada"), policy_id=None),
    ],
)
def test_the_database_holds_what_an_attachment_is(peopled: Database, wrong: Attachment) -> None:
    with pytest.raises(Constrained), peopled.transaction() as tx:
        store.insert_attachment(tx, wrong)
