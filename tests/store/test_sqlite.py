"""The SQLite file: one process, one writer at a time, snapshots that are one moment."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from builders import a_group, a_task, insert_projects
from fleetcron.errors import BadSettings, Unavailable
from fleetcron.store import fleet, tasks
from fleetcron.store import sqlite as module
from fleetcron.store.database import Transaction
from fleetcron.store.sqlite import FILE_NAME, SqliteDatabase, opened_to_copy

HOLD_THE_FOLDER = """
import sys
from pathlib import Path
from fleetcron.errors import BadSettings
from fleetcron.store.sqlite import SqliteDatabase
try:
    database = SqliteDatabase(Path(sys.argv[1]))
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


@pytest.fixture
def database(sqlite_database: SqliteDatabase) -> SqliteDatabase:
    """An empty file with the projects p1 and p2."""
    return sqlite_database


def count_tasks(tx: Transaction) -> int:
    count: int = tx.execute("SELECT count(*) FROM tasks").fetchone()[0]
    return count


def fill_disk(database: SqliteDatabase) -> None:
    """Let the file not grow by another page."""
    with database.transaction() as tx:
        tx.execute("PRAGMA max_page_count = 1")  # SQLite takes the present size where that is more


def insert_much(tx: Transaction) -> None:
    for number in range(200):
        tasks.insert(tx, a_task(f"t{number}", description="x" * 250))


def test_a_second_process_is_refused_until_the_first_has_closed(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path)
    with another_process(tmp_path) as (_, said):
        assert "in use by another fleetcron process" in said
    database.close()
    with another_process(tmp_path) as (_, said):
        assert said == "open"


def test_a_second_opening_in_the_same_process_is_refused(database: SqliteDatabase) -> None:
    with pytest.raises(BadSettings, match="in use"):
        SqliteDatabase(database.folder)


def test_a_killed_process_holds_the_folder_no_longer(tmp_path: Path) -> None:
    with another_process(tmp_path) as (process, said):
        assert said == "open"
        with pytest.raises(BadSettings):
            SqliteDatabase(tmp_path)
        process.kill()
        process.wait()
        SqliteDatabase(tmp_path).close()


def test_an_empty_folder_gets_the_schema_and_reopening_keeps_what_was_written(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "down"
    first = SqliteDatabase(folder)
    with first.transaction() as tx:
        insert_projects(tx)
        fleet.replace_inventory(tx, "p1", [], [a_group()])
    first.close()
    second = SqliteDatabase(folder)
    with second.snapshot() as tx:
        assert fleet.find_group(tx, "p1", "g1") == a_group()
    second.close()


def test_the_folder_is_its_owners_alone(database: SqliteDatabase) -> None:
    assert database.folder.stat().st_mode & 0o077 == 0


def test_commits_survive_a_power_cut(database: SqliteDatabase) -> None:
    with database.transaction() as tx:
        assert tx.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert tx.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_newer_schema_is_refused_untouched_and_the_folder_let_go(tmp_path: Path) -> None:
    SqliteDatabase(tmp_path).close()
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    for _ in range(2):
        with pytest.raises(BadSettings, match="newer than this fleetcron"):
            SqliteDatabase(tmp_path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("something else entirely" * 100)
    with pytest.raises(BadSettings):
        SqliteDatabase(tmp_path)


def test_a_full_disk_is_unavailable_and_leaves_nothing(database: SqliteDatabase) -> None:
    fill_disk(database)
    with pytest.raises(Unavailable, match="full"), database.transaction() as tx:
        insert_much(tx)
    with database.transaction() as tx:
        assert count_tasks(tx) == 0
        tx.execute("PRAGMA max_page_count = 1000000")
        insert_much(tx)


def test_a_file_locked_by_somebody_else_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOCK_WAIT_SECONDS", 0.01)
    database = SqliteDatabase(tmp_path)
    intruder = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
    intruder.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="locked"), database.transaction():
        pass
    intruder.execute("ROLLBACK")
    intruder.close()
    with database.transaction() as tx:
        insert_projects(tx)
    database.close()


@pytest.mark.parametrize(
    "ending", ["FOR UPDATE", "FOR UPDATE SKIP LOCKED", "FOR UPDATE OF t", "FOR UPDATE OF t SKIP LOCKED"]
)
def test_locks_are_the_writers_already(database: SqliteDatabase, ending: str) -> None:
    with database.transaction() as tx:
        tasks.insert(tx, a_task())
        assert tx.execute(f"SELECT t.task_id FROM tasks t {ending}").fetchall() == [("t1",)]  # noqa: S608  (the test's own)
        inner = f"SELECT t.task_id FROM tasks t LIMIT 1 {ending}"  # noqa: S608  (the same)
        assert tx.execute(f"DELETE FROM tasks WHERE task_id IN ({inner})").rowcount == 1  # noqa: S608  (the same)


def test_whoever_writes_has_every_turn(database: SqliteDatabase) -> None:
    with database.transaction() as tx:
        tx.take_turn("one")
        assert tx.try_turn("one")


def test_a_copy_is_of_one_moment_and_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path)
    with database.transaction() as tx:
        insert_projects(tx)
        tasks.insert(tx, a_task())
    database.close()
    before = (tmp_path / FILE_NAME).read_bytes()
    with opened_to_copy(tmp_path) as source:
        assert source.execute("SELECT task_id FROM tasks").fetchall() == [("t1",)]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            source.execute("DELETE FROM tasks")
        with pytest.raises(BadSettings, match="in use"):
            SqliteDatabase(tmp_path)
    assert (tmp_path / FILE_NAME).read_bytes() == before
    SqliteDatabase(tmp_path).close()


def test_what_a_killed_process_has_committed_is_copied_too(tmp_path: Path) -> None:
    """It may lie in the log beside the file, still."""
    writing = (
        "import sys; from pathlib import Path; from fleetcron.store.sqlite import SqliteDatabase\n"
        "database = SqliteDatabase(Path(sys.argv[1]))\n"
        "with database.transaction() as tx: tx.execute(\"INSERT INTO accounts VALUES ('a', 'a', '')\")\n"
        "import os; os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", writing, str(tmp_path)], check=False)
    assert (tmp_path / f"{FILE_NAME}-wal").stat().st_size > 0
    with opened_to_copy(tmp_path) as source:
        assert source.execute("SELECT account_id FROM accounts").fetchall() == [("a",)]


@pytest.mark.parametrize(
    ("version", "says"), [(1, "run `fleetcron serve` on it once"), (999, "newer than this fleetcron")]
)
def test_only_this_versions_file_is_copied(tmp_path: Path, version: int, says: str) -> None:
    SqliteDatabase(tmp_path).close()
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    with pytest.raises(BadSettings, match=says), opened_to_copy(tmp_path):
        pass


def test_where_there_is_no_database_none_is_made(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="no database"), opened_to_copy(tmp_path):
        pass
    assert [*tmp_path.iterdir()] == []
