"""The real database as a process of the simulation has it: away at times, and never sure to say what it did."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from enum import Enum, auto
from functools import cache
from pathlib import Path
from typing import Protocol

import psycopg

from fleetcron.errors import Unavailable
from fleetcron.store.database import Database, Transaction
from fleetcron.store.postgresql import PostgresqlDatabase, migrate
from fleetcron.store.sqlite import FILE_NAME, SqliteDatabase
from simulation.virtual import Process

Instead = tuple[tuple[str, str], ...]

RAM = Path("/dev/shm")  # noqa: S108  (a folder of our own is made in it)


class Answer(Enum):
    """What is heard of a commit: its answer, or nothing although it happened, or nothing because it did not."""

    HEARD = auto()
    LOST = auto()
    UNDONE = auto()


class Ground(Protocol):
    """What the tables need of the world."""

    in_transaction: bool
    database_away: int

    def gate(self, process: Process, where: str) -> None:
        """Let others act here, or die."""
        ...

    def peril(self, process: Process, where: str) -> None:
        """Go on or die, but let nobody else act."""
        ...

    def answer_to_commit(self, process: Process) -> Answer:
        """What is heard of this commit."""
        ...


class ProcessDatabase:
    """One process's way to the database; see ``Database`` for what a caller may rely on."""

    partitioned = False
    folder = None

    def __init__(self, ground: Ground, real: Database, process: Process) -> None:
        self._ground = ground
        self._real = real
        self._process = process

    @property
    def answers_at_once(self) -> bool:
        """As the real one."""
        return self._real.answers_at_once

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Read and write; the process may die on either side of the commit, and the answer to it may be lost."""
        ground, process = self._ground, self._process
        ground.gate(process, "begin")
        self._answer()
        answer = ground.answer_to_commit(process)
        with self._real.transaction() as tx:
            ground.in_transaction = True
            try:
                yield tx
            finally:
                ground.in_transaction = False
            ground.peril(process, "before a commit")
            if answer is Answer.UNDONE:
                raise Unavailable("the database did not answer a commit")
        if answer is Answer.LOST:
            raise Unavailable("the database did not answer a commit")
        ground.gate(process, "after a commit")

    @contextmanager
    def snapshot(self) -> Iterator[Transaction]:
        """Read only; much may have changed when the reader comes to act on it."""
        self._answer()
        with self._real.snapshot() as tx:
            yield tx
        self._ground.gate(self._process, "read")

    def overwriting(self) -> AbstractContextManager[Transaction]:
        """No process of the simulation does this."""
        raise AssertionError

    def close(self) -> None:
        """The world closes the real one."""

    def _answer(self) -> None:
        if self._ground.database_away:
            raise Unavailable("the database does not answer")


@contextmanager
def a_folder() -> Iterator[Path]:
    """A folder in memory, where syncing costs nothing, if this machine has that."""
    folder = Path(tempfile.mkdtemp(prefix="fleetcron-simulation-", dir=RAM if RAM.is_dir() else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def a_database(url: str | None, folder: Path, instead: Instead = ()) -> Iterator[Database]:
    """An empty database of this version: SQLite in ``folder``, or a new one on the server at ``url``.

    ``instead`` says what of the SQLite schema a test wants to be otherwise: text, and what stands in its place.
    """
    if url is not None:
        with _on_server(url) as database:
            yield database
        return
    (folder / FILE_NAME).write_bytes(_template(instead))
    database = SqliteDatabase(folder)
    try:
        yield database
    finally:
        database.close()


@cache
def _template(instead: Instead) -> bytes:
    """A migrated file, for migrating takes longer than a whole story."""
    with a_folder() as folder:
        SqliteDatabase(folder).close()
        if instead:
            with closing(sqlite3.connect(folder / FILE_NAME, isolation_level=None)) as connection:
                _rebuild(connection, instead)
        return (folder / FILE_NAME).read_bytes()


def _rebuild(connection: sqlite3.Connection, instead: Instead) -> None:
    """Make the tables anew that are to be otherwise; their indexes are not missed by so few rows."""
    for old, new in instead:
        ((name, sql),) = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND instr(sql, ?) > 0", (old,)
        ).fetchall()
        connection.execute(f"DROP TABLE {name}")
        connection.execute(sql.replace(old, new))


@contextmanager
def _on_server(url: str) -> Iterator[Database]:
    with psycopg.connect(url, autocommit=True) as connection:
        name = f"simulation_{connection.info.backend_pid}"
        connection.execute(f'CREATE DATABASE "{name}"')
        try:
            own = psycopg.conninfo.conninfo_to_dict(url)
            own_url = f"postgresql://{own['user']}:{own.get('password', '')}@{own['host']}:{own['port']}/{name}"
            migrate(own_url)
            database = PostgresqlDatabase(own_url)
            try:
                yield database
            finally:
                database.close()
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
