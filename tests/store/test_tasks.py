"""Tasks in the database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from builders import NOW, a_rule, a_task, after, an_execution
from fleetcron.domain.execution import Status
from fleetcron.domain.task import Task, TaskType
from fleetcron.store import executions, tasks
from fleetcron.store.database import Database, Transaction


@pytest.fixture
def tx(database: Database) -> Iterator[Transaction]:
    with database.transaction() as tx:
        yield tx


def page(
    tx: Transaction, *, name: str | None = None, task_type: str | None = None, offset: int = 0, limit: int = 100
) -> tuple[int, list[str]]:
    count, found = tasks.page(tx, "p1", name=name, task_type=task_type, offset=offset, limit=limit)
    return count, [task.task_id for task in found]


def insert(tx: Transaction, *many: Task) -> None:
    for task in many:
        tasks.insert(tx, task)


def test_a_task_is_found_in_its_own_project_only(tx: Transaction) -> None:
    insert(tx, a_task())
    assert tasks.find(tx, "p1", "t1") == a_task()
    assert tasks.find(tx, "p2", "t1") is None
    assert tasks.find(tx, "p1", "t2") is None


def test_a_replaced_task_is_as_given_and_alone(tx: Transaction) -> None:
    insert(tx, a_task("t1"), a_task("t2"))
    changed = a_task("t1", name="new", rule=a_rule(interval_days=3), enabled=False, next_fire_at=None)
    tasks.replace(tx, changed)
    assert tasks.read(tx, ["t2", "t1"]) == [a_task("t2"), changed]


def test_a_deleted_task_is_out_of_sight_and_off_the_clock(tx: Transaction) -> None:
    insert(tx, a_task("t1"), a_task("t2"))
    tasks.delete(tx, "p1", ["t1", "unknown"], after(5))
    assert tasks.find(tx, "p1", "t1") is None
    assert page(tx) == (1, ["t2"])
    assert tasks.due_ids(tx, NOW, 10) == ["t2"]
    (kept,) = tasks.read(tx, ["t1"])
    assert (kept.deleted_at, kept.next_fire_at) == (after(5), None)


def test_deleting_again_changes_nothing(tx: Transaction) -> None:
    insert(tx, a_task())
    tasks.delete(tx, "p1", ["t1"], after(5))
    tasks.delete(tx, "p1", ["t1"], after(6))
    assert tasks.read(tx, ["t1"])[0].deleted_at == after(5)


def test_another_projects_task_cannot_be_deleted(tx: Transaction) -> None:
    insert(tx, a_task())
    tasks.delete(tx, "p2", ["t1"], NOW)
    assert tasks.find(tx, "p1", "t1") == a_task()


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
def test_the_union_of_the_pages_is_the_set_newest_first(tx: Transaction, limit: int) -> None:
    made = [a_task(f"t{n:02}", created_at=NOW + timedelta(seconds=n // 3)) for n in range(20)]
    insert(tx, *made, a_task("foreign", project_id="p2"))
    pages = [page(tx, offset=offset, limit=limit) for offset in range(0, 20 + limit, limit)]
    assert {count for count, _ in pages} == {20}
    expected = sorted(made, key=lambda task: (task.created_at, task.task_id), reverse=True)
    assert [task_id for _, found in pages for task_id in found] == [task.task_id for task in expected]


def test_the_name_matches_anywhere_and_its_signs_are_letters(tx: Transaction) -> None:
    insert(tx, a_task("t1", name="night_restart"), a_task("t2", name="night-restart"), a_task("t3", name="100%"))
    insert(tx, a_task("t4", name="back\\slash"))
    assert page(tx, name="restart")[0] == 2
    assert page(tx, name="t_r") == (1, ["t1"])
    assert page(tx, name="%") == (1, ["t3"])
    assert page(tx, name="\\") == (1, ["t4"])
    assert page(tx, name="") == page(tx)


def test_the_name_matches_in_either_case_of_ascii_and_of_nothing_else(tx: Transaction) -> None:
    insert(tx, a_task("t1", name="Night ÄÖ"), a_task("t2", name="night äö"))
    assert page(tx, name="NIGHT")[0] == 2
    assert page(tx, name="Ä") == (1, ["t1"])
    assert page(tx, name="ä") == (1, ["t2"])


def test_the_type_matches_exactly(tx: Transaction) -> None:
    insert(tx, a_task("t1"), a_task("t2", task_type=TaskType.STOP_SERVER))
    assert page(tx, task_type="STOP_SERVER") == (1, ["t2"])
    assert page(tx, task_type="STOP") == (0, [])


def test_due_tasks_come_longest_waiting_first_and_not_too_many(tx: Transaction) -> None:
    for number, seconds in enumerate([-5, 0, 1, -9]):
        insert(tx, a_task(f"t{number}", next_fire_at=after(seconds)))
    insert(tx, a_task("never", next_fire_at=None))
    assert tasks.due_ids(tx, NOW, 10) == ["t3", "t0", "t1"]
    assert tasks.due_ids(tx, NOW, 2) == ["t3", "t0"]


def test_a_due_task_is_due_alone_as_long_as_it_is_due(tx: Transaction) -> None:
    insert(tx, a_task())
    assert tasks.due(tx, NOW, 10) == [a_task()]
    assert tasks.due_alone(tx, "t1", NOW) == a_task()
    assert tasks.due_alone(tx, "t1", after(-0.001)) is None
    assert tasks.due_alone(tx, "t2", NOW) is None


def test_a_task_is_locked_in_its_own_project_only(tx: Transaction) -> None:
    insert(tx, a_task(), a_task("gone", deleted_at=NOW))
    assert tasks.lock(tx, "p1", "t1") == a_task()
    assert tasks.lock(tx, "p2", "t1") is None
    assert tasks.lock(tx, "p1", "gone") is None


def test_what_somebody_else_fires_or_changes_is_passed_over(postgresql_database: Database) -> None:
    database = postgresql_database
    with database.transaction() as tx:
        insert(tx, a_task("t1"), a_task("t2", next_fire_at=after(-1)), a_task("t3"))
    with database.transaction() as tx, database.transaction() as other:
        assert [task.task_id for task in tasks.due(other, NOW, 1)] == ["t2"]
        assert tasks.lock(other, "p1", "t3") is not None
        assert [task.task_id for task in tasks.due(tx, NOW, 10)] == ["t1"]
        assert tasks.due_alone(tx, "t2", NOW) is None
        assert tasks.due_ids(tx, NOW, 10)[0] == "t2"


def test_advancing_moves_the_ordinal_and_the_next_fire_alone(tx: Transaction) -> None:
    insert(tx, a_task())
    tasks.advance(tx, [(a_task(), 4, after(60))])
    assert tasks.read(tx, ["t1"]) == [a_task(last_ordinal=4, next_fire_at=after(60))]


def test_the_latest_status_is_that_of_the_newest_execution(tx: Transaction) -> None:
    task, idle = a_task(last_ordinal=2), a_task("t2")
    insert(tx, task, idle)
    executions.insert(
        tx,
        [
            an_execution("e1", status=Status.FAILED),
            an_execution("e2", ordinal=2, fire_at=after(60), status=Status.RUNNING),
        ],
    )
    assert tasks.latest_statuses(tx, [task, idle]) == {"t1": Status.RUNNING}
