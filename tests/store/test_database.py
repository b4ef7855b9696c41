"""The SQLite file: one process, one writer at a time, snapshots that are one moment."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from builders import a_group, a_server, a_task, insert_projects
from fleetcron.errors import BadSettings, Unavailable
from fleetcron.store import database as module
from fleetcron.store import fleet, tasks
from fleetcron.store.database import FILE_NAME, Database, Transaction

HOLD_THE_FOLDER = """
import sys
from pathlib import Path
from fleetcron.errors import BadSettings
from fleetcron.store.database import Database
try:
    database = Database(Path(sys.argv[1]))
except BadSettings as error:
    print(error, flush=True)
else:
    print("open", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that has opened the folder until it is let go, and what it said of that."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_THE_FOLDER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def count_tasks(tx: Transaction) -> int:
    count: int = tx.execute("SELECT count(*) FROM tasks").fetchone()[0]
    return count


def fill_disk(database: Database) -> None:
    """Let the file not grow by another page."""
    with database.transaction() as tx:
        tx.execute("PRAGMA max_page_count = 1")  # SQLite takes the present size where that is more


def insert_much(tx: Transaction) -> None:
    for number in range(200):
        tasks.insert(tx, a_task(f"t{number}", description="x" * 250))


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
    with pytest.raises(sqlite3.IntegrityError), database.transaction() as tx:
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


def test_transactions_of_many_threads_follow_one_another(database: Database) -> None:
    with database.transaction() as tx:
        tasks.insert(tx, a_task())

    def count_up() -> None:
        for _ in range(25):
            with database.transaction() as tx:
                (task,) = tasks.read(tx, ["t1"])
                tasks.advance(tx, [(task, task.last_ordinal + 1, None)])

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.snapshot() as tx:
        assert tasks.read(tx, ["t1"])[0].last_ordinal == 100


def test_a_second_process_is_refused_until_the_first_has_closed(tmp_path: Path) -> None:
    database = Database(tmp_path)
    with another_process(tmp_path) as (_, said):
        assert "in use by another fleetcron process" in said
    database.close()
    with another_process(tmp_path) as (_, said):
        assert said == "open"


def test_a_second_opening_in_the_same_process_is_refused(database: Database) -> None:
    with pytest.raises(BadSettings, match="in use"):
        Database(database.folder)


def test_a_killed_process_holds_the_folder_no_longer(tmp_path: Path) -> None:
    with another_process(tmp_path) as (process, said):
        assert said == "open"
        with pytest.raises(BadSettings):
            Database(tmp_path)
        process.kill()
        process.wait()
        Database(tmp_path).close()


def test_an_empty_folder_gets_the_schema_and_reopening_keeps_what_was_written(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "down"
    first = Database(folder)
    with first.transaction() as tx:
        insert_projects(tx)
        fleet.replace_inventory(tx, "p1", [], [a_group()])
    first.close()
    second = Database(folder)
    with second.snapshot() as tx:
        assert fleet.find_group(tx, "p1", "g1") == a_group()
    second.close()


def test_the_folder_is_its_owners_alone(database: Database) -> None:
    assert database.folder.stat().st_mode & 0o077 == 0


def test_commits_survive_a_power_cut(database: Database) -> None:
    with database.transaction() as tx:
        assert tx.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert tx.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_newer_schema_is_refused_untouched_and_the_folder_let_go(tmp_path: Path) -> None:
    Database(tmp_path).close()
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    for _ in range(2):
        with pytest.raises(BadSettings, match="newer than this fleetcron"):
            Database(tmp_path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("something else entirely" * 100)
    with pytest.raises(BadSettings):
        Database(tmp_path)


def test_a_full_disk_is_unavailable_and_leaves_nothing(database: Database) -> None:
    fill_disk(database)
    with pytest.raises(Unavailable, match="full"), database.transaction() as tx:
        insert_much(tx)
    with database.transaction() as tx:
        assert count_tasks(tx) == 0
        tx.execute("PRAGMA max_page_count = 1000000")
        insert_much(tx)


def test_a_file_locked_by_somebody_else_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOCK_WAIT_SECONDS", 0.01)
    database = Database(tmp_path)
    intruder = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
    intruder.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="locked"), database.transaction():
        pass
    intruder.execute("ROLLBACK")
    intruder.close()
    with database.transaction() as tx:
        insert_projects(tx)
    database.close()
