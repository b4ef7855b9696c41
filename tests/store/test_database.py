"""What every use case relies on, whichever database is the system of record."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from builders import a_group, a_server, a_task
from fleetcron.errors import Constrained, Unavailable
from fleetcron.store import fleet, tasks
from fleetcron.store.database import Database, Transaction


def count_tasks(tx: Transaction) -> int:
    count: int = tx.execute("SELECT count(*) FROM tasks").fetchone()[0]
    return count


def test_what_is_committed_is_there(database: Database) -> None:
    with database.transaction() as tx:
        tasks.insert(tx, a_task())
    with database.snapshot() as tx:
        assert tasks.find(tx, "p1", "t1") == a_task()


def test_a_transaction_that_raises_leaves_nothing(database: Database) -> None:
    def break_off() -> None:
        with database.transaction() as tx:
            tasks.insert(tx, a_task())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    with database.snapshot() as tx:
        assert count_tasks(tx) == 0
    with database.transaction() as tx:
        tasks.insert(tx, a_task())


def test_a_refused_row_takes_the_whole_transaction_with_it(database: Database) -> None:
    with pytest.raises(Constrained), database.transaction() as tx:
        fleet.replace_inventory(tx, "p1", [a_server(1), a_server(2, handle="h1")], [a_group()])
    with database.snapshot() as tx:
        assert fleet.find_server(tx, "p1", "s1") is None
        assert fleet.find_group(tx, "p1", "g1") is None


def test_a_snapshot_is_one_moment_while_a_writer_commits(database: Database) -> None:
    with database.snapshot() as reading:
        assert count_tasks(reading) == 0
        with database.transaction() as tx:
            tasks.insert(tx, a_task())
        assert count_tasks(reading) == 0
    with database.snapshot() as reading:
        assert count_tasks(reading) == 1


def test_a_snapshot_does_not_wait_for_a_writer(database: Database) -> None:
    with database.transaction() as tx:
        tasks.insert(tx, a_task())
        with database.snapshot() as reading:
            assert count_tasks(reading) == 0


def test_a_snapshot_cannot_write(database: Database) -> None:
    with pytest.raises(Unavailable), database.snapshot() as tx:
        tasks.insert(tx, a_task())
    with database.snapshot() as tx:
        assert count_tasks(tx) == 0


def test_who_has_a_turn_counts_alone(database: Database) -> None:
    with database.transaction() as tx:
        tasks.insert(tx, a_task())

    def count_up(_: int) -> None:
        for _ in range(25):
            with database.transaction() as tx:
                tx.take_turn("counting")
                (task,) = tasks.read(tx, ["t1"])
                tasks.advance(tx, [(task, task.last_ordinal + 1, None)])

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(count_up, range(4)))
    with database.snapshot() as tx:
        assert tasks.read(tx, ["t1"])[0].last_ordinal == 100


def break_off(tx: Transaction) -> None:
    """Take a turn, and fail."""
    assert tx.try_turn("one")
    raise Unavailable("")


def test_a_turn_ends_with_its_transaction(database: Database) -> None:
    for _ in range(2):
        with database.transaction() as tx:
            assert tx.try_turn("one")
    with pytest.raises(Unavailable), database.transaction() as tx:
        break_off(tx)
    with database.transaction() as tx:
        assert tx.try_turn("one")


def test_many_rows_come_out_of_one_parameter(database: Database) -> None:
    rows = json.dumps([["a%", 3_000_000_000], ["b?'", None], ["c:d", 1]])
    with database.snapshot() as tx:
        found = tx.execute(
            "SELECT value ->> 0, CAST(value ->> 1 AS BIGINT) FROM json_each(?) -- not a ? and not a :name\n"
            "WHERE value ->> 0 <> '?:no%' ORDER BY 1",
            (rows,),
        ).fetchall()
    assert found == [("a%", 3_000_000_000), ("b?'", None), ("c:d", 1)]


def test_text_is_ordered_by_its_bytes_and_lower_knows_a_to_z(database: Database) -> None:
    with database.transaction() as tx:
        for number, name in enumerate(["b", "É", "a", "B", "é"]):
            tasks.insert(tx, a_task(f"t{number}", name=name))
        names = [name for (name,) in tx.execute("SELECT name FROM tasks ORDER BY name")]
        assert names == ["B", "a", "b", "É", "é"]
        assert tx.execute("SELECT lower(name) FROM tasks WHERE name = 'É'").fetchone() == ("É",)


def test_truths_are_numbers_and_nothing_is_none(database: Database) -> None:
    with database.transaction() as tx:
        tasks.insert(tx, a_task(enabled=True, enforcement=None))
        tx.executemany("UPDATE tasks SET enforcement = :truth WHERE task_id = :id", [{"truth": True, "id": "t1"}])
        assert tx.execute("SELECT enabled, enforcement FROM tasks").fetchall() == [(1, 1)]
        assert tx.execute("SELECT 1 WHERE CAST(:name AS TEXT) IS NULL", {"name": None}).fetchall() == [(1,)]
        tx.executemany("UPDATE tasks SET enabled = ? WHERE task_id = ?", [])


def test_a_row_that_somebody_locked_is_passed_over_or_waited_for(database: Database) -> None:
    with database.transaction() as tx:
        tasks.insert(tx, a_task())
    locked, seen = threading.Event(), []

    def look() -> None:
        locked.wait()
        with database.transaction() as tx:
            seen.append(tx.execute("SELECT name FROM tasks WHERE task_id = 't1' FOR UPDATE").fetchone())

    waiting = threading.Thread(target=look)
    waiting.start()
    with database.transaction() as tx:
        tx.execute("SELECT 1 FROM tasks WHERE task_id = 't1' FOR UPDATE")
        locked.set()
        tx.execute("UPDATE tasks SET name = 'new' WHERE task_id = 't1'")
    waiting.join()
    assert seen == [("new",)]


def test_what_is_written_of_many_rows_is_refused_as_a_whole(database: Database) -> None:
    twice = [tasks.ROWS.values(a_task()), tasks.ROWS.values(a_task(name="another"))]
    with pytest.raises(Constrained), database.transaction() as tx:
        tx.write(tasks.ROWS.insert_many, twice)
    with database.snapshot() as tx:
        assert count_tasks(tx) == 0
