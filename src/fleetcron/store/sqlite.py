"""The SQLite file: opened by one process, written by one transaction at a time, read by snapshots."""

from __future__ import annotations

import fcntl
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import IO, Any

from fleetcron.errors import BadSettings, Constrained, Unavailable
from fleetcron.store.database import Many, Parameters

FILE_NAME = "fleetcron.sqlite3"
LOCK_NAME = "fleetcron.lock"
LOCK_WAIT_SECONDS = 10.0
WRITER_CACHE_KIBIBYTES = 64 * 1024
READER_CACHE_KIBIBYTES = 16 * 1024

# One writer at a time is the lock here.
_LOCKING = re.compile(r"\s+FOR UPDATE( OF \w+)?( SKIP LOCKED)?(?=\s*(\)|$))")
_plain: dict[str, str] = {}


class SqliteTransaction(sqlite3.Connection):
    """One of the database's connections, speaking the SQL that is written for both databases."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:  # noqa: ANN401  (the library's type has no public name)
        """Run one statement."""
        plain = _plain.get(sql)
        if plain is None:
            plain = _plain[sql] = _LOCKING.sub("", sql)
        return super().execute(plain, parameters)

    def write(self, many: Many, rows: Sequence[Parameters], /) -> None:
        """Run a statement for many rows: one after the other, which asks nobody for anything."""
        self.executemany(many.each, rows)

    def take_turn(self, name: str) -> None:
        """Nothing: whoever writes has every turn."""

    def try_turn(self, name: str) -> bool:  # noqa: ARG002  (the same)
        """Always: whoever writes has every turn."""
        return True


class SqliteDatabase:
    """The system of record in one folder.

    Opening brings the schema up to date and takes the folder's lock, so that a second process cannot act
    on the same tasks. Transactions of several threads follow one another; a snapshot never waits for them.

    Raises:
        BadSettings: the folder is in use by another process, or was written by a newer fleetcron.
    """

    answers_at_once = True
    partitioned = False

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = folder
        self._lock = _lock(folder / LOCK_NAME)
        self._path = folder / FILE_NAME
        # It holds secrets, and the folder may be one that others can look into.
        self._path.touch(mode=0o600)
        self._turn = threading.Lock()
        self._readers = threading.local()
        self._opened: list[SqliteTransaction] = []
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
    def transaction(self) -> Iterator[SqliteTransaction]:
        """Read and write, all or nothing: committed when the block ends, rolled back when it raises.

        Raises:
            Constrained: a constraint of the database holds against what was written.
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

    @contextmanager
    def overwriting(self) -> Iterator[SqliteTransaction]:
        """A transaction that leaves nothing of what it writes over in any file of the database."""
        with self.transaction() as tx:
            (before,) = tx.execute("PRAGMA secure_delete").fetchone()
            # Otherwise SQLite only forgets where the old text lies.
            tx.execute("PRAGMA secure_delete = ON")
            try:
                yield tx
            finally:
                tx.execute(f"PRAGMA secure_delete = {before}")
        # The log beside the file still has the pages as they were, and so has the file until it has caught up with it.
        with closing(sqlite3.connect(self._path, isolation_level=None)) as own:
            own.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def snapshot(self) -> Snapshot:
        """Read only, as of one moment: bounds and rows that are read in it belong together."""
        return Snapshot(self._reader)

    def close(self) -> None:
        """Close every connection and give the folder's lock back."""
        with self._turn:
            for connection in self._opened:
                connection.close()
            self._lock.close()

    def _reader(self) -> SqliteTransaction:
        """The reading connection of the thread that asks."""
        reader: SqliteTransaction | None = getattr(self._readers, "connection", None)
        if reader is None:
            reader = self._readers.connection = self._connect(READER_CACHE_KIBIBYTES)
            reader.execute("PRAGMA query_only = ON")
        return reader

    def _connect(self, cache_kibibytes: int) -> SqliteTransaction:
        connection = sqlite3.connect(
            self._path,
            timeout=LOCK_WAIT_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
            factory=SqliteTransaction,
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


@contextmanager
def opened_to_copy(folder: Path) -> Iterator[sqlite3.Connection]:
    """The database in a folder as of one moment, to be read only; nobody writes to it until the block ends.

    Raises:
        BadSettings: there is none, it is in use, or it is not of this version; says how to put it right.
    """
    path = folder / FILE_NAME
    if not path.exists():
        raise BadSettings("data folder", f"there is no database in {folder}")
    with _lock(folder / LOCK_NAME):
        try:
            with closing(
                sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
            ) as source:
                source.execute("BEGIN")
                known = len(_steps())
                done = _steps_done(source, known)
                if done < known:
                    reason = f"its schema is {done}, this fleetcron needs {known}: run `fleetcron serve` on it once"
                    raise BadSettings("data folder", reason)
                yield source
        except sqlite3.DatabaseError as error:
            raise BadSettings("data folder", f"{path} cannot be read: {error}") from error


class Snapshot:
    """A reading transaction as a context; a class of its own because every request enters several.

    Raises:
        Unavailable: the database cannot be read now.
    """

    __slots__ = ("_find_reader", "_reader")

    def __init__(self, find_reader: Callable[[], SqliteTransaction]) -> None:
        self._find_reader = find_reader

    def __enter__(self) -> SqliteTransaction:
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
    """Say in our words that the database does not answer, or that a constraint is its answer."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise Constrained(str(error)) from error
    except sqlite3.DatabaseError as error:
        raise _unavailable(error) from error


def _unavailable(error: sqlite3.DatabaseError) -> Unavailable:
    return Unavailable(f"the database does not answer: {error}")


def _lock(path: Path) -> IO[str]:
    """Hold the folder's lock until the file is closed; the kernel gives it back however we end."""
    try:
        file = path.open("a")
    except OSError as error:
        raise BadSettings("data folder", f"{path} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise BadSettings("data folder", f"{path.parent} is in use by another fleetcron process") from error
    return file


def _migrate(connection: sqlite3.Connection) -> None:
    """Bring the schema up to date, each step in a transaction of its own."""
    steps = _steps()
    done = _steps_done(connection, len(steps))
    for number, step in enumerate(steps[done:], start=done + 1):
        connection.executescript(f"BEGIN IMMEDIATE;\n{step.read_text()}\nPRAGMA user_version = {number};\nCOMMIT;")


def _steps() -> list[Traversable]:
    folder = files("fleetcron.store") / "migrations" / "sqlite"
    return sorted((step for step in folder.iterdir() if step.name.endswith(".sql")), key=lambda step: step.name)


def _steps_done(connection: sqlite3.Connection, known: int) -> int:
    done = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if done > known:
        raise BadSettings("data folder", f"its schema {done} is newer than this fleetcron knows ({known})")
    return done
