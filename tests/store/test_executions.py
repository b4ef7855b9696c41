"""Executions in the database: one per fire, pages that never tear, counters that add up."""

from __future__ import annotations

import itertools
import sqlite3
import threading

import msgspec
import pytest

from builders import NOW, a_task, after, an_execution
from fleetcron.domain.execution import Execution, Status
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
    with pytest.raises(sqlite3.IntegrityError, match="fire_at"), database.transaction() as tx:
        executions.insert(tx, [an_execution("e2", ordinal=2)])
    with database.snapshot() as tx:
        assert executions.is_recorded(tx, "t1", NOW)
        assert not executions.is_recorded(tx, "t1", after(1))
        assert not executions.is_recorded(tx, "t2", NOW)
        assert [row.execution_id for row in executions.read(tx, ["e2", "e1"])] == ["e1"]


def test_an_ordinal_is_given_once(database: Database) -> None:
    with pytest.raises(sqlite3.IntegrityError), database.transaction() as tx:
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


def test_the_first_subtask_begins_the_execution_and_the_others_are_counted(database: Database) -> None:
    with database.transaction() as tx:
        executions.insert(tx, [an_execution(total=3)])
        executions.begin(tx, [("e1", after(1)), ("e1", after(2))])
        assert only(tx) == an_execution(total=3, status=Status.RUNNING, running=2, began_at=after(1))


def test_what_ends_moves_from_running_or_from_waiting(database: Database) -> None:
    with database.transaction() as tx:
        executions.insert(tx, [an_execution(total=4)])
        executions.begin(tx, [("e1", NOW), ("e1", NOW)])
        executions.count_ended(tx, [("e1", True, True), ("e1", False, True), ("e1", False, False)])
        execution = only(tx)
    assert (execution.succeeded, execution.failed, execution.running) == (1, 2, 0)


def test_counters_that_do_not_add_up_cannot_be_written(database: Database) -> None:
    with database.transaction() as tx:
        executions.insert(tx, [an_execution(total=1)])
    for wrong in ([("e1", True, False), ("e1", True, False)], [("e1", True, True)]):
        with pytest.raises(sqlite3.IntegrityError), database.transaction() as tx:
            executions.count_ended(tx, wrong)


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
        executions.begin(tx, [("e1", NOW)])
        sealed = msgspec.structs.replace(only(tx), status=Status.FAILED, failed=2, running=0, ended_at=after(3))
        executions.seal(tx, [(sealed, b"{}")])
        assert only(tx) == sealed
