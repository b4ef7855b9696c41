"""What people ask of executions, against a real database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import NOW, a_subtask, a_task, after, an_execution, eventually
from databases import somebody_waits
from fleetcron.control.history import History
from fleetcron.domain.access import Caller
from fleetcron.domain.execution import Execution, Status, Subtask
from fleetcron.errors import Conflict, Forbidden, NotFound
from fleetcron.store import executions, subtasks, tasks
from fleetcron.store.database import Database
from fleetcron.store.postgresql import PostgresqlDatabase

ADA = Caller(user_id="u1", user_name="ada", account_id="default", administrator=True, project_id=None)
MALLORY = Caller(user_id="u2", user_name="mallory", account_id="elsewhere", administrator=True, project_id=None)


@pytest.fixture
def history(database: Database) -> History:
    return History(database)


def fired(database: Database, count: int, *, first: int = 1, task_id: str = "t1", project_id: str = "p1") -> None:
    """A task whose history holds ``count`` executions, numbered from ``first``; none of them is over."""
    last = first + count - 1
    task = a_task(task_id, project_id=project_id, first_ordinal=first, last_ordinal=last)
    made = [
        an_execution(
            f"{task_id}-{n}", task_id=task_id, project_id=project_id, ordinal=n, fire_at=after(n), created_at=after(n)
        )
        for n in range(first, last + 1)
    ]
    with database.transaction() as tx:
        tasks.insert(tx, task)
        executions.insert(tx, made)


def split(database: Database, count: int) -> None:
    """An execution of ``count`` subtasks."""
    with database.transaction() as tx:
        executions.insert(tx, [an_execution("e1", total=count)])
        subtasks.insert(tx, [a_subtask(n) for n in range(1, count + 1)])


def page(history: History, *, offset: int = 0, limit: int = 10, task_id: str = "t1") -> tuple[int, list[int]]:
    """The count, and the ordinals on the page."""
    count, items = history.executions(ADA, "p1", task_id, offset=offset, limit=limit)
    return count, [item.ordinal for item in items if isinstance(item, Execution)]


def test_a_task_that_has_not_fired_has_an_empty_history(history: History, database: Database) -> None:
    fired(database, 0)
    assert page(history) == (0, [])
    assert page(history, offset=5) == (0, [])


def test_the_newest_comes_first(history: History, database: Database) -> None:
    fired(database, 12)
    assert page(history) == (12, [12, 11, 10, 9, 8, 7, 6, 5, 4, 3])
    assert page(history, offset=10) == (12, [2, 1])


@pytest.mark.parametrize("offset", [12, 13, 2_147_483_647])
def test_a_page_behind_the_end_is_empty_and_still_counts(history: History, database: Database, offset: int) -> None:
    fired(database, 12)
    assert page(history, offset=offset, limit=100) == (12, [])


def test_what_retention_has_trimmed_is_neither_counted_nor_found(history: History, database: Database) -> None:
    fired(database, 5, first=1001)
    assert page(history, limit=100) == (5, [1005, 1004, 1003, 1002, 1001])
    assert page(history, offset=4) == (5, [1001])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.integers(1, 30))
def test_the_pages_together_are_the_whole(history: History, database: Database, limit: int) -> None:
    with database.snapshot() as tx:
        known = executions.bounds(tx, "p1", "t1")
    if known is None:
        fired(database, 23, first=4)
    pages = [page(history, offset=offset, limit=limit)[1] for offset in range(0, 23 + limit, limit)]
    assert [ordinal for ordinals in pages for ordinal in ordinals] == list(range(26, 3, -1))
    assert all(len(ordinals) <= limit for ordinals in pages)


def test_a_finished_execution_is_handed_out_as_it_was_rendered(history: History, database: Database) -> None:
    fired(database, 2)
    with database.transaction() as tx:
        (running,) = executions.read(tx, ["t1-1"])
        over = msgspec.structs.replace(running, status=Status.SUCCESS, succeeded=1, ended_at=after(9))
        executions.seal(tx, [(over, b'{"rendered":true}')])
    count, (live, kept) = history.executions(ADA, "p1", "t1", offset=0, limit=10)
    assert count == 2
    assert isinstance(live, Execution)
    assert kept == b'{"rendered":true}'


def test_a_deleted_tasks_history_is_not_found(history: History, database: Database) -> None:
    fired(database, 1)
    with database.transaction() as tx:
        tasks.delete(tx, "p1", ["t1"], NOW)
    with pytest.raises(NotFound, match="task t1"):
        page(history)
    # The execution itself stays, for whoever still has its id.
    assert history.subtasks(ADA, "p1", "t1-1", offset=0, limit=10)[0].execution_id == "t1-1"


@pytest.mark.parametrize("task_id", ["t2", "T1", "t1 ", "%", "", "t1' OR '1'='1"])
def test_an_unknown_task_is_not_found(history: History, database: Database, task_id: str) -> None:
    fired(database, 1)
    with pytest.raises(NotFound):
        page(history, task_id=task_id)


def test_another_projects_past_is_not_found(history: History, database: Database) -> None:
    fired(database, 1, task_id="t2", project_id="p2")
    with pytest.raises(NotFound):
        page(history, task_id="t2")
    with pytest.raises(NotFound):
        history.subtasks(ADA, "p1", "t2-1", offset=0, limit=10)


def test_a_stranger_may_not_look(history: History, database: Database) -> None:
    fired(database, 1)
    with pytest.raises(Forbidden):
        history.executions(MALLORY, "p1", "t1", offset=0, limit=10)
    with pytest.raises(Forbidden):
        history.subtasks(MALLORY, "p1", "t1-1", offset=0, limit=10)


def ordinals(found: list[Subtask]) -> list[int]:
    return [subtask.ordinal for subtask in found]


def test_subtasks_come_in_their_order_page_by_page(history: History, database: Database) -> None:
    split(database, 25)
    pages = [history.subtasks(ADA, "p1", "e1", offset=offset, limit=10) for offset in (0, 10, 20, 30, 2_147_483_647)]
    assert [ordinals(found) for _, found in pages] == [
        list(range(1, 11)),
        list(range(11, 21)),
        list(range(21, 26)),
        [],
        [],
    ]
    assert {execution.total for execution, _ in pages} == {25}


def test_an_execution_without_subtasks_has_none(history: History, database: Database) -> None:
    split(database, 0)
    execution, found = history.subtasks(ADA, "p1", "e1", offset=0, limit=10)
    assert (execution.total, found) == (0, [])


def test_an_unknown_execution_is_not_found(history: History, database: Database) -> None:
    fired(database, 1)
    # A task's own id is not an execution's.
    for execution_id in ("e1", "t1", "t1-1-1", ""):
        with pytest.raises(NotFound, match="execution"):
            history.subtasks(ADA, "p1", execution_id, offset=0, limit=10)


def cancel(history: History, execution_id: str = "t1-1", *, task_id: str = "t1", seconds: float = 5) -> None:
    history.cancel(ADA, "p1", task_id, execution_id, after(seconds))


def cancelled_at(database: Database, execution_id: str = "t1-1") -> datetime | None:
    with database.snapshot() as tx:
        return executions.read(tx, [execution_id])[0].cancelled_at


def end(database: Database, execution_id: str = "t1-1") -> None:
    with database.transaction() as tx:
        (running,) = executions.read(tx, [execution_id])
        over = msgspec.structs.replace(running, status=Status.FAILED, failed=1, ended_at=after(9))
        executions.seal(tx, [(over, b"{}")])


def test_one_execution_is_cancelled_and_no_other(history: History, database: Database) -> None:
    fired(database, 2)
    cancel(history)
    assert cancelled_at(database) == after(5)
    assert cancelled_at(database, "t1-2") is None


def test_cancelling_again_changes_nothing_even_after_the_end_that_came_of_it(
    history: History, database: Database
) -> None:
    fired(database, 1)
    cancel(history)
    cancel(history, seconds=6)
    end(database)
    cancel(history, seconds=7)
    assert cancelled_at(database) == after(5)


def test_what_has_ended_by_itself_cannot_be_cancelled(history: History, database: Database) -> None:
    fired(database, 1)
    end(database)
    with pytest.raises(Conflict, match=r"t1-1 has already ended; it is FAILED\."):
        cancel(history)
    assert cancelled_at(database) is None


def test_an_execution_is_cancelled_as_its_own_tasks_alone(history: History, database: Database) -> None:
    fired(database, 1)
    fired(database, 1, task_id="t2")
    fired(database, 1, task_id="t3", project_id="p2")
    for task_id, execution_id in (("t1", "t2-1"), ("t3", "t3-1"), ("t1", "t9-1"), ("t9", "t1-1"), ("t1", "")):
        with pytest.raises(NotFound, match="execution"):
            cancel(history, execution_id, task_id=task_id)
    assert [cancelled_at(database, key) for key in ("t1-1", "t2-1", "t3-1")] == [None] * 3


def test_what_a_deleted_task_has_begun_can_still_be_cancelled(history: History, database: Database) -> None:
    fired(database, 1)
    with database.transaction() as tx:
        tasks.delete(tx, "p1", ["t1"], NOW)
    cancel(history)
    assert cancelled_at(database) == after(5)


def test_a_stranger_may_not_cancel(history: History, database: Database) -> None:
    fired(database, 1)
    with pytest.raises(Forbidden):
        history.cancel(MALLORY, "p1", "t1", "t1-1", NOW)
    assert cancelled_at(database) is None


def test_an_execution_that_ends_while_it_is_being_cancelled_has_ended(postgresql_database: PostgresqlDatabase) -> None:
    fired(postgresql_database, 1)
    with ThreadPoolExecutor(1) as thread:
        with postgresql_database.transaction() as tx:
            (running,) = executions.to_change(tx, ["t1-1"])
            cancelling = thread.submit(cancel, History(postgresql_database))
            eventually(lambda: somebody_waits(postgresql_database))
            over = msgspec.structs.replace(running, status=Status.SUCCESS, succeeded=1, ended_at=after(9))
            executions.seal(tx, [(over, b"{}")])
        with pytest.raises(Conflict, match="SUCCESS"):
            cancelling.result()
