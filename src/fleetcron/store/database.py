"""The SQLite file: opened by one process, written by one transaction at a time, read by snapshots."""

from __future__ import annotations

import fcntl
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import IO

from fleetcron.errors import BadSettings, Unavailable

FILE_NAME = "fleetcron.sqlite3"
LOCK_NAME = "fleetcron.lock"
LOCK_WAIT_SECONDS = 10.0
WRITER_CACHE_KIBIBYTES = 64 * 1024
READER_CACHE_KIBIBYTES = 16 * 1024

Transaction = sqlite3.Connection
"""What a use case holds while its transaction lasts; ``execute`` and ``executemany`` are all it may call."""


class Database:
    """The system of record in one folder.

    Opening brings the schema up to date and takes the folder's lock, so that a second process cannot act
    on the same tasks. Transactions of several threads follow one another; a snapshot never waits for them.

    Raises:
        BadSettings: the folder is in use by another process, or was written by a newer fleetcron.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = folder
        self._lock = _lock(folder / LOCK_NAME)
        self._path = folder / FILE_NAME
        # It holds secrets, and the folder may be one that others can look into.
        self._path.touch(mode=0o600)
        self._turn = threading.Lock()
        self._readers = threading.local()
        self._opened: list[sqlite3.Connection] = []
        try:
            self._writer = self._connect(WRITER_CACHE_KIBIBYTES)
            _migrate(self._writer)
        except sqlite3.DatabaseError as error:
            self.close()
            raise BadSettings("data folder", f"{self._path} cannot be opened: {error}") from error
        except BaseException:
            self.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Read and write, all or nothing: committed when the block ends, rolled back when it raises.

        Raises:
            Unavailable: the database cannot be written now (disk full, file locked by somebody else).
        """
        with self._turn, _answering():
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    def snapshot(self) -> Snapshot:
        """Read only, as of one moment: bounds and rows that are read in it belong together."""
        return Snapshot(self._reader)

    def close(self) -> None:
        """Close every connection and give the folder's lock back."""
        with self._turn:
            for connection in self._opened:
                connection.close()
            self._lock.close()

    def _reader(self) -> sqlite3.Connection:
        """The reading connection of the thread that asks."""
        reader: sqlite3.Connection | None = getattr(self._readers, "connection", None)
        if reader is None:
            reader = self._readers.connection = self._connect(READER_CACHE_KIBIBYTES)
            reader.execute("PRAGMA query_only = ON")
        return reader

    def _connect(self, cache_kibibytes: int) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path,
            timeout=LOCK_WAIT_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        self._opened.append(connection)
        for pragma in (
            "journal_mode = WAL",
            # A fire that was answered for must survive a power cut, not only a crash of ours.
            "synchronous = FULL",
            "foreign_keys = ON",
            f"cache_size = -{cache_kibibytes}",
            "temp_store = MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}")
        return connection


class Snapshot:
    """A reading transaction as a context; a class of its own because every request enters several.

    Raises:
        Unavailable: the database cannot be read now.
    """

    __slots__ = ("_find_reader", "_reader")

    def __init__(self, find_reader: Callable[[], sqlite3.Connection]) -> None:
        self._find_reader = find_reader

    def __enter__(self) -> Transaction:
        try:
            self._reader = self._find_reader()
            self._reader.execute("BEGIN")
        except sqlite3.DatabaseError as error:
            raise _unavailable(error) from error
        return self._reader

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            # SQLite ends a transaction by itself where reading on would make no sense.
            if self._reader.in_transaction:
                self._reader.execute("COMMIT")
        except sqlite3.DatabaseError as failure:
            error = error or failure
        if isinstance(error, sqlite3.DatabaseError):
            raise _unavailable(error) from error


@contextmanager
def _answering() -> Iterator[None]:
    """Say in our words that the database does not answer; a broken constraint is an answer."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.DatabaseError as error:
        raise _unavailable(error) from error


def _unavailable(error: sqlite3.DatabaseError) -> Unavailable:
    return Unavailable(f"the database does not answer: {error}")


def _lock(path: Path) -> IO[str]:
    """Hold the folder's lock until the file is closed; the kernel gives it back however we end."""
    file = path.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise BadSettings("data folder", f"{path.parent} is in use by another fleetcron process") from error
    return file


def _migrate(connection: sqlite3.Connection) -> None:
    """Bring the schema up to date, each step in a transaction of its own."""
    steps = sorted(
        (step for step in (files("fleetcron.store") / "migrations").iterdir() if step.name.endswith(".sql")),
        key=lambda step: step.name,
    )
    (done,) = connection.execute("PRAGMA user_version").fetchone()
    if done > len(steps):
        raise BadSettings("data folder", f"its schema {done} is newer than this fleetcron knows ({len(steps)})")
    for number, step in enumerate(steps[done:], start=done + 1):
        connection.executescript(f"BEGIN IMMEDIATE;\n{step.read_text()}\nPRAGMA user_version = {number};\nCOMMIT;")
