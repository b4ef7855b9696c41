"""What people ask of the past, against a real database."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import NOW, a_subtask, a_task, after, an_execution
from fleetcron.control.history import History
from fleetcron.domain.access import Caller
from fleetcron.domain.execution import Execution, Status, Subtask
from fleetcron.errors import Forbidden, NotFound
from fleetcron.store import executions, subtasks, tasks
from fleetcron.store.database import Database

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
    over = an_execution("t1-1", ordinal=1, status=Status.SUCCESS, succeeded=1, ended_at=after(9))
    with database.transaction() as tx:
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
