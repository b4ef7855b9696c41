"""Where control asks whether a caller may."""

from __future__ import annotations

import pytest

from builders import NOW
from fleetcron.control.authorisation import ASKING, ROOT, TASK, Asking, authorise
from fleetcron.domain.access import Account, Caller, Permission, Project
from fleetcron.errors import Forbidden
from fleetcron.store import access
from fleetcron.store.database import Database
from fleetcron.store.sqlite import SqliteDatabase

PERMISSIONS = [permission for permission in Permission if permission is not Permission.MANAGE_ACCESS]


@pytest.fixture
def database(sqlite_database: SqliteDatabase) -> Database:
    """One kind is enough: what is asked of the database here is asked in test_policies, too."""
    return sqlite_database


def a_caller(
    *,
    account_id: str = "default",
    project_id: str | None = None,
    administrator: bool = True,
    policies: tuple[str, ...] = (),
) -> Caller:
    return Caller(
        user_id="u1",
        user_name="ada",
        account_id=account_id,
        administrator=administrator,
        project_id=project_id,
        policies=policies,
    )


def pass_by(database: Database, caller: Caller, project_id: str, permission: Permission = Permission.LIST_TASKS) -> str:
    """Empty where the caller may pass, else the reason."""
    with database.snapshot() as tx:
        try:
            authorise(tx, caller, permission, project_id, (TASK, "t1"))
        except Forbidden as error:
            return error.reason
    return ""


@pytest.mark.parametrize("permission", PERMISSIONS)
def test_the_administrator_may_all_in_every_project_of_the_account(database: Database, permission: Permission) -> None:
    assert pass_by(database, a_caller(), "p1", permission) == ""
    assert pass_by(database, a_caller(), "p2", permission) == ""


@pytest.mark.parametrize("permission", PERMISSIONS)
def test_a_user_without_a_policy_may_nothing_and_is_told_why(database: Database, permission: Permission) -> None:
    reason = pass_by(database, a_caller(administrator=False), "p1", permission)
    assert reason.startswith(f"User: ada is not authorized to perform: {permission} on resource: ")
    assert reason.endswith(f"because no identity-based policy allows the {permission} action.")


def test_a_policy_lets_a_user_pass_and_is_written_down_as_what_decided(database: Database) -> None:
    asking = Asking(at=NOW, source="127.0.0.1")
    ASKING.set(asking)
    visitor = a_caller(administrator=False, policies=("Workspace ReadOnlyAccess",))
    assert pass_by(database, visitor, "p1", Permission.LIST_EXECUTIONS) == ""
    assert asking.decided_by == "Workspace ReadOnlyAccess"
    assert pass_by(database, visitor, "p1", Permission.DELETE_TASK)
    assert asking.decided_by is None
    assert pass_by(database, a_caller(), "p1", Permission.DELETE_TASK) == ""
    assert asking.decided_by == ROOT


def test_a_policy_of_one_account_opens_no_project_of_another(database: Database) -> None:
    stranger = a_caller(account_id="other", administrator=False, policies=("Workspace FullAccess",))
    assert "no access" in pass_by(database, stranger, "p1")


def test_a_token_for_one_project_is_good_there_alone(database: Database) -> None:
    caller = a_caller(project_id="p1")
    assert pass_by(database, caller, "p1") == ""
    assert "not for project p2" in pass_by(database, caller, "p2")


@pytest.mark.parametrize("project_id", ["", "p", "P1", "p1 ", "p1%", "%", "p1' OR '1'='1"])
def test_a_project_that_is_not_there_is_forbidden(database: Database, project_id: str) -> None:
    assert pass_by(database, a_caller(), project_id)


def test_a_foreign_project_is_told_apart_from_a_missing_one_by_nobody(database: Database) -> None:
    with database.transaction() as tx:
        access.insert_account(tx, Account(account_id="other", name="other", created_at=NOW))
        access.insert_project(tx, Project(project_id="p3", account_id="other", name="theirs", created_at=NOW))
    foreign, missing = pass_by(database, a_caller(), "p3"), pass_by(database, a_caller(), "p4")
    assert foreign
    assert foreign.replace("p3", "p4") == missing
