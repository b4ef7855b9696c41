"""Who may see to an account's users, keys, groups and policies."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from builders import NOW, eventually
from databases import somebody_waits
from fleetcron.control.access import Access
from fleetcron.control.administration import changing, require_management
from fleetcron.domain.access import Caller, Project, User
from fleetcron.errors import Conflict, Forbidden
from fleetcron.store import access
from fleetcron.store.database import Database
from fleetcron.store.postgresql import PostgresqlDatabase
from fleetcron.store.vault import Vault

ADMIN = Caller(user_id="a", user_name="admin", account_id="home", administrator=True, project_id=None)
ADA = Caller(user_id="u", user_name="ada", account_id="home", administrator=False, project_id=None)


def test_administrators_pass_in_their_own_account_alone() -> None:
    require_management(ADMIN, account_id="home")
    for account_id in ("elsewhere", None):
        with pytest.raises(Forbidden):
            require_management(ADMIN, account_id=account_id)


def test_others_pass_where_they_ask_about_themselves() -> None:
    require_management(ADA, account_id="home", user_id="u")
    for user_id in (None, "a"):
        with pytest.raises(Forbidden, match="ada is not an administrator"):
            require_management(ADA, account_id="home", user_id=user_id)


@pytest.mark.parametrize("attempt", range(3))
def test_two_administrators_who_delete_each_other_leave_one(database: Database, vault: Vault, attempt: int) -> None:
    """Each finds the other standing, and only one of them is right."""
    callers = []
    with database.transaction() as tx:
        for name in ("eve", "adam"):
            user = User(
                user_id=f"u-{name}",
                account_id="default",
                name=name,
                description=None,
                password_hash="-",
                administrator=True,
                enabled=True,
                created_at=NOW,
            )
            access.insert_user(tx, user)
            callers.append(msgspec.structs.replace(ADMIN, user_id=user.user_id, account_id="default"))
    together = threading.Barrier(2)

    def delete(caller: Caller, other: Caller) -> bool:
        room = Access(database, vault=vault)
        with database.snapshot():
            together.wait()
        try:
            room.delete_user(caller, other.user_id)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(2) as nodes:
        done = [*nodes.map(delete, callers, reversed(callers))]
    assert sorted(done) == [False, True], attempt
    with database.snapshot() as tx:
        assert access.count_administrators(tx, "default") == 1


def test_a_change_waits_for_the_one_before_it_on_whatever_node(postgresql_database: PostgresqlDatabase) -> None:
    seen = []

    def look() -> None:
        with changing(postgresql_database) as tx:
            seen.extend(access.list_projects(tx, "default", name="new"))

    with ThreadPoolExecutor(1) as other:
        with changing(postgresql_database) as tx:
            waiting = other.submit(look)
            eventually(lambda: waiting.done() or somebody_waits(postgresql_database))
            access.insert_project(tx, Project(project_id="p3", account_id="default", name="new", created_at=NOW))
        waiting.result()
    assert [project.project_id for project in seen] == ["p3"]


def test_a_change_that_is_refused_lets_the_next_one_go_on(database: Database) -> None:
    for _ in range(2):
        with pytest.raises(Conflict), changing(database):
            raise Conflict("")
