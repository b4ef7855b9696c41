"""Who is vouched for elsewhere may what its roles stand for, in its own project, and no longer than is said there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from builders import NOW
from fleetcron.control.recent import REMEMBERED_SECONDS
from fleetcron.control.visitors import Visitors
from fleetcron.errors import BadSettings, Forbidden, StaleToken, Unauthenticated, Unavailable
from fleetcron.identity.contract import KeystoneConfig, Validated
from fleetcron.identity.registry import open_identity
from fleetcron.store import access
from fleetcron.store.database import Database
from fleetcron.store.sqlite import SqliteDatabase
from peers.keystone import Keystone

FULL, READ = "Workspace FullAccess", "Workspace ReadOnlyAccess"
ROLES = {"admin": FULL, "reader": READ, "auditor": READ}
ALICE = Validated(
    user_id="u1",
    user_name="alice",
    project_id="p1",
    roles=frozenset({"reader"}),
    expires_at=NOW + timedelta(hours=1),
)


@pytest.fixture
def database(sqlite_database: SqliteDatabase) -> Database:
    """One kind is enough: what is asked of the database here is asked in test_founding, too."""
    return sqlite_database


@dataclass
class Says:
    """An identity service that vouches for whoever is in its book, and counts how often it is asked."""

    book: dict[str, Validated] = field(default_factory=lambda: {"t": ALICE})
    asked: int = 0

    def validate(self, token: str, now: datetime) -> Validated:
        self.asked += 1
        if token not in self.book:
            raise Unauthenticated("decrypt token fail")
        if self.book[token].expires_at <= now:
            raise StaleToken("The token must be updated.")
        return self.book[token]


@pytest.fixture
def identity() -> Says:
    return Says()


@pytest.fixture
def visitors(database: Database, identity: Says) -> Visitors:
    return Visitors(database, identity, ROLES)


def test_a_visitor_has_what_its_roles_stand_for_and_is_no_administrator(database: Database, visitors: Visitors) -> None:
    visitor = visitors.admit("t", NOW)
    assert visitor.policies == (READ,)
    assert (visitor.caller.user_id, visitor.caller.user_name, visitor.caller.project_id) == ("u1", "alice", "p1")
    assert not visitor.caller.administrator
    with database.snapshot() as tx:
        project = access.find_project(tx, "p1")
    assert project is not None
    assert visitor.caller.account_id == project.account_id


@pytest.mark.parametrize(
    ("roles", "policies"),
    [
        ({"admin"}, (FULL,)),
        ({"admin", "reader"}, (FULL, READ)),
        ({"reader", "auditor", "member"}, (READ,)),
    ],
)
def test_each_policy_comes_once_and_unknown_roles_mean_nothing(
    identity: Says, visitors: Visitors, roles: set[str], policies: tuple[str, ...]
) -> None:
    identity.book["t"] = msgspec.structs.replace(ALICE, roles=frozenset(roles))
    assert visitors.admit("t", NOW).policies == policies


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"project_id": None}, "not for a project"),
        ({"project_id": None, "roles": frozenset({"admin"})}, "not for a project"),
        ({"project_id": "p-of-somebody-else"}, "no access to the project p-of-somebody-else"),
        ({"roles": frozenset()}, "No role"),
        ({"roles": frozenset({"member", "Admin", "READER"})}, "No role"),
    ],
)
def test_who_comes_with_less_is_turned_away(
    identity: Says, visitors: Visitors, changes: dict[str, object], words: str
) -> None:
    identity.book["t"] = msgspec.structs.replace(ALICE, **changes)
    with pytest.raises(Forbidden, match=words):
        visitors.admit("t", NOW)
    assert visitors.recall("t", NOW) is None


def test_nobody_is_known_before_the_service_was_asked(visitors: Visitors, identity: Says) -> None:
    assert visitors.recall("t", NOW) is None
    assert identity.asked == 0


def test_an_answer_is_believed_for_a_second_from_the_asking_and_not_longer(visitors: Visitors) -> None:
    visitor = visitors.admit("t", NOW)
    last = NOW + timedelta(seconds=REMEMBERED_SECONDS) - timedelta(milliseconds=1)
    assert visitors.recall("t", last) == visitor
    assert visitors.recall("t", last + timedelta(milliseconds=1)) is None
    assert visitors.recall("t", NOW - timedelta(milliseconds=1)) is None
    assert REMEMBERED_SECONDS <= 1


def test_a_token_that_expires_meanwhile_is_stale_although_it_is_remembered(identity: Says, visitors: Visitors) -> None:
    soon = NOW + timedelta(milliseconds=500)
    identity.book["t"] = msgspec.structs.replace(ALICE, expires_at=soon)
    visitors.admit("t", NOW)
    with pytest.raises(StaleToken):
        visitors.recall("t", soon)


def test_a_refusal_is_not_remembered(identity: Says, visitors: Visitors) -> None:
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            visitors.admit("unknown", NOW)
    identity.book["unknown"] = ALICE
    assert visitors.admit("unknown", NOW).caller.user_name == "alice"
    assert identity.asked == 3


def test_a_role_that_stands_for_an_unknown_policy_is_refused(database: Database, identity: Says) -> None:
    with pytest.raises(BadSettings, match=r"identity\.roles\.admin.*Workspace FullAccess"):
        Visitors(database, identity, {"admin": "Workspace Everything"})


@pytest.fixture
def visiting(database: Database, keystone: Keystone, tmp_path: Path) -> Callable[[str], Visitors]:
    """Visitors of a real Keystone; our project p3 has the id of one of the Keystone's."""

    def make(name: str) -> Visitors:
        own_project, password = keystone.create_project(f"own {name}"), tmp_path / "password"
        keystone.assign(keystone.create_user(f"own {name}", "own password"), own_project, "service")
        password.write_text("own password")
        config = KeystoneConfig(
            url=keystone.url,
            user=f"own {name}",
            password_file=str(password),
            project=f"own {name}",
            roles={"reader": READ},
            answer_seconds_max=2,
        )
        return Visitors(database, open_identity(config), config.roles)

    return make


def add_project(database: Database, project_id: str) -> None:
    with database.transaction() as tx:
        first = access.find_project(tx, "p1")
        assert first is not None
        access.insert_project(tx, msgspec.structs.replace(first, project_id=project_id, name="of the keystone"))


def test_a_revoked_token_of_a_real_keystone_is_refused_once_it_is_no_longer_remembered(
    database: Database, keystone: Keystone, visiting: Callable[[str], Visitors]
) -> None:
    visitors, now = visiting("visitors"), datetime.now(tz=NOW.tzinfo)
    project_id = keystone.create_project("visited")
    add_project(database, project_id)
    keystone.assign(keystone.create_user("alice-v", "correct horse"), project_id, "member")
    token = keystone.issue("alice-v", "correct horse", project_id)
    visitor = visitors.admit(token, now)
    assert (visitor.policies, visitor.caller.project_id) == ((READ,), project_id)
    keystone.revoke(token)
    later = now + timedelta(seconds=REMEMBERED_SECONDS)
    assert visitors.recall(token, later) is None
    with pytest.raises(Unauthenticated):
        visitors.admit(token, later)


def test_a_role_of_a_real_keystone_that_stands_for_nothing_here_is_turned_away(
    database: Database, keystone: Keystone, visiting: Callable[[str], Visitors]
) -> None:
    visitors, now = visiting("roles"), datetime.now(tz=NOW.tzinfo)
    project_id = keystone.create_project("roles")
    add_project(database, project_id)
    keystone.assign(keystone.create_user("mallory-v", "correct horse"), project_id, "service")
    with pytest.raises(Forbidden, match="No role of user mallory-v"):
        visitors.admit(keystone.issue("mallory-v", "correct horse", project_id), now)


def test_a_keystone_that_is_down_is_unavailable(database: Database, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("own password")
    config = KeystoneConfig(
        url="http://127.0.0.1:1/v3",
        user="own",
        password_file=str(tmp_path / "password"),
        project="own",
        roles={"reader": READ},
    )
    with pytest.raises(Unavailable):
        Visitors(database, open_identity(config), config.roles).admit("t", NOW)
