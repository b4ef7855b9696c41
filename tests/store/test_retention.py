"""History is shortened from its old end, and what is left of it stays right."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from builders import NOW, a_subtask, a_task, an_execution
from fleetcron.domain.execution import Status
from fleetcron.store import executions, retention, subtasks, tasks
from fleetcron.store.database import Database, Transaction

DAY = timedelta(days=1)


@pytest.fixture
def table(database: Database) -> str:
    """Where executions lie for which no month was made."""
    return "executions_others" if database.partitioned else "executions"


def fired(
    database: Database, task_id: str, ages_days: list[int], *, unended: tuple[int, ...] = (), total: int = 2
) -> None:
    """A task that fired so many days before NOW, the oldest first; without an end are those of these ordinals."""
    with database.transaction() as tx:
        tasks.insert(tx, a_task(task_id, last_ordinal=len(ages_days)))
        for ordinal, age in enumerate(ages_days, start=1):
            key, fire_at = f"{task_id}-{ordinal}", NOW - age * DAY
            over = {} if ordinal in unended else {"ended_at": fire_at, "status": Status.SUCCESS}
            execution = an_execution(key, task_id=task_id, ordinal=ordinal, fire_at=fire_at, total=total, **over)
            executions.insert(tx, [execution])
            subtasks.insert(tx, [a_subtask(number, key) for number in (1, 2)])


def shorten(database: Database, table: str, horizon: datetime = NOW - 30 * DAY) -> int:
    with database.transaction() as tx:
        return retention.shorten(tx, table, horizon, "t1")


def left(tx: Transaction, task_id: str = "t1") -> tuple[tuple[int, int] | None, int, int]:
    """The bounds of a task's history, how many executions there are within any bounds, and how many subtasks."""
    (rows,) = tx.execute("SELECT count(*) FROM executions WHERE task_id = ?", (task_id,)).fetchone()
    (shares,) = tx.execute("SELECT count(*) FROM subtasks WHERE execution_id LIKE ?", (f"{task_id}-%",)).fetchone()
    return executions.bounds(tx, "p1", task_id), rows, shares


def test_the_old_end_goes_with_its_subtasks_and_the_rest_stays_dense(database: Database, table: str) -> None:
    fired(database, "t1", [50, 40, 31, 29, 1])
    fired(database, "t2", [50])
    assert shorten(database, table) == 3
    with database.snapshot() as tx:
        assert left(tx) == ((4, 5), 2, 4)
        assert len(executions.stretch(tx, "t1", 5, 4)) == 2
        assert left(tx, "t2") == ((1, 1), 1, 2)
    assert shorten(database, table) == 0


def test_what_has_not_ended_stops_it(database: Database, table: str) -> None:
    fired(database, "t1", [50, 40, 39, 38], unended=(2,))
    assert shorten(database, table) == 1
    assert shorten(database, table) == 0
    with database.snapshot() as tx:
        assert left(tx) == ((2, 4), 3, 6)


def test_a_younger_one_stops_it_even_where_an_older_one_follows(database: Database, table: str) -> None:
    fired(database, "t1", [40, 10, 39])
    assert shorten(database, table) == 1
    assert shorten(database, table) == 0
    with database.snapshot() as tx:
        assert left(tx) == ((2, 3), 2, 4)


def test_all_of_it_may_go_and_the_next_fire_has_the_next_ordinal(database: Database, table: str) -> None:
    fired(database, "t1", [50, 40])
    assert shorten(database, table) == 2
    with database.snapshot() as tx:
        assert left(tx) == ((3, 2), 0, 0)
        assert tasks.read(tx, ["t1"])[0].last_ordinal == 2


def test_one_transaction_forgets_so_much_and_no_more(
    database: Database, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fired(database, "t1", [50, 49, 48, 47, 46, 45], total=10)
    monkeypatch.setattr(retention, "SUBTASKS_MAX", 25)
    assert shorten(database, table) == 2
    monkeypatch.setattr(retention, "SUBTASKS_MAX", 1)
    assert shorten(database, table) == 1
    monkeypatch.setattr(retention, "SUBTASKS_MAX", 1000)
    monkeypatch.setattr(retention, "EXECUTIONS_MAX", 2)
    assert shorten(database, table) == 2
    with database.snapshot() as tx:
        assert left(tx) == ((6, 6), 1, 2)


def test_the_tasks_with_something_to_forget_come_one_after_the_other(database: Database, table: str) -> None:
    fired(database, "t1", [50])
    fired(database, "t2", [5])
    fired(database, "t3", [50], unended=(1,))
    fired(database, "t4", [31, 1])
    with database.snapshot() as tx:
        found = ""
        seen = []
        while (found := retention.next_over(tx, table, NOW - 30 * DAY, found) or "") != "":
            seen.append(found)
    assert seen == ["t1", "t4"]


def test_a_deleted_task_goes_when_nothing_of_it_is_left(database: Database, table: str) -> None:
    fired(database, "t1", [50])
    fired(database, "t2", [50])
    with database.transaction() as tx:
        tasks.delete(tx, "p1", ["t1", "t2"], NOW - 49 * DAY)
        tasks.insert(tx, a_task("t3", deleted_at=NOW - 49 * DAY, next_fire_at=None))
        tasks.insert(tx, a_task("t4", deleted_at=NOW - DAY, next_fire_at=None))
        tasks.insert(tx, a_task("t5"))
    assert shorten(database, table) == 1
    with database.transaction() as tx:
        assert retention.forget_tasks(tx, NOW - 30 * DAY, 1) == 1
        assert retention.forget_tasks(tx, NOW - 30 * DAY, 10) == 1
        assert [task.task_id for task in tasks.read(tx, ["t1", "t2", "t3", "t4", "t5"])] == ["t2", "t4", "t5"]


def test_the_oldest_fire_is_that_of_what_is_kept(database: Database, table: str) -> None:
    with database.snapshot() as tx:
        assert retention.oldest_fire(tx) is None
    fired(database, "t1", [50, 3])
    fired(database, "t2", [20])
    with database.snapshot() as tx:
        assert retention.oldest_fire(tx) == NOW - 50 * DAY
    shorten(database, table)
    with database.snapshot() as tx:
        assert retention.oldest_fire(tx) == NOW - 20 * DAY


def test_a_task_that_is_gone_has_nothing_to_forget(database: Database, table: str) -> None:
    assert shorten(database, table) == 0
