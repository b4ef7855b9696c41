"""Executions in the database: one per fire, pages that never tear, counters that add up."""

from __future__ import annotations

import itertools
import threading

import msgspec
import pytest

from builders import NOW, a_task, after, an_execution
from fleetcron.domain.execution import Execution, Status
from fleetcron.errors import Constrained
from fleetcron.store import executions, tasks
from fleetcron.store.database import Database, Transaction

READS_MAX = 400


def append(tx: Transaction, ordinal: int, task_id: str = "t1") -> None:
    """One more execution, in the transaction that moves the task's last ordinal."""
    fresh = an_execution(f"{task_id}-{ordinal:06}", task_id=task_id, ordinal=ordinal, fire_at=after(ordinal * 60))
    executions.insert(tx, [fresh])
    (task,) = tasks.read(tx, [task_id])
    tasks.advance(tx, [(task, ordinal, None)])


def page(tx: Transaction, offset: int, limit: int) -> tuple[int, list[int]]:
    """A page as control reads it: the count, and the ordinals."""
    bounds = executions.bounds(tx, "p1", "t1")
    assert bounds is not None
    first, last = bounds
    newest = last - offset
    found = executions.stretch(tx, "t1", newest, max(first, newest - limit + 1))
    return last - first + 1, [row.ordinal for row in found if isinstance(row, Execution)]


def only(tx: Transaction, execution_id: str = "e1") -> Execution:
    (execution,) = executions.read(tx, [execution_id])
    return execution


def test_a_fire_has_one_execution(database: Database) -> None:
    with database.transaction() as tx:
        executions.insert(tx, [an_execution("e1")])
    with pytest.raises(Constrained, match="fire_at"), database.transaction() as tx:
        executions.insert(tx, [an_execution("e2", ordinal=2)])
    with database.snapshot() as tx:
        assert executions.is_recorded(tx, "t1", NOW)
        assert not executions.is_recorded(tx, "t1", after(1))
        assert not executions.is_recorded(tx, "t2", NOW)
        assert [row.execution_id for row in executions.read(tx, ["e2", "e1"])] == ["e1"]


def test_an_ordinal_is_given_once(sqlite_database: Database) -> None:
    """On PostgreSQL no key holds this, but the lock on the task's row: the race of the schedulers tests it."""
    with pytest.raises(Constrained), sqlite_database.transaction() as tx:
        executions.insert(tx, [an_execution("e1"), an_execution("e2", fire_at=after(60))])


def test_an_execution_is_found_in_its_own_project_only(database: Database) -> None:
    with database.transaction() as tx:
        executions.insert(tx, [an_execution()])
        assert executions.find(tx, "p1", "e1") == an_execution()
        assert executions.find(tx, "p2", "e1") is None


def test_bounds_are_those_of_a_task_that_can_be_seen(database: Database) -> None:
    with database.transaction() as tx:
        tasks.insert(tx, a_task())
        tasks.insert(tx, a_task("gone", deleted_at=NOW))
        tasks.insert(tx, a_task("trimmed", first_ordinal=5, last_ordinal=9))
        assert executions.bounds(tx, "p1", "t1") == (1, 0)
        assert executions.bounds(tx, "p1", "trimmed") == (5, 9)
        assert executions.bounds(tx, "p2", "t1") is None
        assert executions.bounds(tx, "p1", "gone") is None
        assert executions.bounds(tx, "p1", "unknown") is None


@pytest.mark.parametrize("limit", [1, 7, 10, 100])
def test_the_union_of_the_pages_is_the_set_newest_first_at_any_depth(database: Database, limit: int) -> None:
    with database.transaction() as tx:
        tasks.insert(tx, a_task())
        tasks.insert(tx, a_task("t0"))
        tasks.insert(tx, a_task("t2"))
        for ordinal in range(1, 54):
            append(tx, ordinal)
        for neighbour in ("t0", "t2"):
            append(tx, 1, neighbour)
    with database.snapshot() as tx:
        pages = [page(tx, offset, limit) for offset in range(0, 53 + 2 * limit, limit)]
    assert {count for count, _ in pages} == {53}
    assert [ordinal for _, found in pages for ordinal in found] == list(range(53, 0, -1))


def test_no_page_tears_while_a_writer_appends(database: Database) -> None:
    with database.transaction() as tx:
        tasks.insert(tx, a_task())
        for ordinal in range(1, 31):
            append(tx, ordinal)
    done = threading.Event()

    def write() -> None:
        for ordinal in itertools.count(31):
            if done.is_set():
                return
            with database.transaction() as tx:
                append(tx, ordinal)

    writer = threading.Thread(target=write)
    writer.start()
    torn = []
    counts = set()
    try:
        for _ in range(READS_MAX):
            with database.snapshot() as tx:
                count, found = page(tx, 10, 20)
            counts.add(count)
            if found != list(range(count - 10, count - 30, -1)):
                torn.append((count, found))
    finally:
        done.set()
        writer.join()
    assert torn == []
    assert len(counts) > 1, "nothing was appended meanwhile"


def test_what_is_taken_to_be_changed_has_not_ended_and_comes_in_the_order_of_the_ids(database: Database) -> None:
    e2 = an_execution("e2", ordinal=2, fire_at=after(60))
    e3 = an_execution("e3", ordinal=3, fire_at=after(120), status=Status.SUCCESS, succeeded=1, ended_at=after(200))
    with database.transaction() as tx:
        executions.insert(tx, [e3, e2, an_execution()])
        assert executions.to_change(tx, ["e3", "e2", "e1", "e9"]) == [an_execution(), e2]


def test_counters_are_written_with_the_beginning_and_nothing_else(database: Database) -> None:
    counted = an_execution(total=5, status=Status.RUNNING, running=2, succeeded=1, failed=1, began_at=after(1))
    with database.transaction() as tx:
        executions.insert(tx, [an_execution(total=5), an_execution("e2", task_id="t2")])
        executions.count(tx, [msgspec.structs.replace(counted, cancelled_at=NOW, zone="changed")])
        assert executions.read(tx, ["e1", "e2"]) == [counted, an_execution("e2", task_id="t2")]


def test_counters_that_do_not_add_up_cannot_be_written(database: Database) -> None:
    with database.transaction() as tx:
        executions.insert(tx, [an_execution(total=1)])
    for wrong in ({"succeeded": 2}, {"succeeded": 1, "running": 1}, {"running": -1}):
        with pytest.raises(Constrained), database.transaction() as tx:
            executions.count(tx, [msgspec.structs.replace(an_execution(total=1), **wrong)])


def test_an_execution_is_cancelled_once_and_only_before_its_end(database: Database) -> None:
    ended = an_execution("e2", task_id="t2", status=Status.SUCCESS, succeeded=1, ended_at=after(9))
    with database.transaction() as tx:
        executions.insert(tx, [an_execution("e1"), ended])
        assert not executions.cancel(tx, "p2", "e1", after(3))
        assert not executions.cancel(tx, "p1", "e9", after(3))
        assert executions.cancel(tx, "p1", "e1", after(3))
        assert not executions.cancel(tx, "p1", "e1", after(4))
        assert not executions.cancel(tx, "p1", "e2", after(3))
        assert executions.read(tx, ["e1", "e2"]) == [an_execution("e1", cancelled_at=after(3)), ended]


def test_a_sealed_execution_comes_as_the_bytes_of_its_record(database: Database) -> None:
    running = an_execution("e2", ordinal=2, fire_at=after(60), status=Status.RUNNING, running=1)
    ended = an_execution("e1", status=Status.SUCCESS, succeeded=1, ended_at=after(9))
    with database.transaction() as tx:
        executions.insert(tx, [an_execution("e1"), running])
        executions.seal(tx, [(ended, b'{"as":"said"}')])
        assert executions.stretch(tx, "t1", 2, 1) == [running, b'{"as":"said"}']
        assert only(tx) == ended


def test_sealing_ends_what_was_running(database: Database) -> None:
    with database.transaction() as tx:
        executions.insert(tx, [an_execution(total=2)])
        executions.count(tx, [an_execution(total=2, status=Status.RUNNING, running=1)])
        sealed = msgspec.structs.replace(only(tx), status=Status.FAILED, failed=2, running=0, ended_at=after(3))
        executions.seal(tx, [(sealed, b"{}")])
        assert only(tx) == sealed
