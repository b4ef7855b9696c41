from __future__ import annotations

from collections.abc import Iterator

import pytest

from builders import Clock
from engine_bench import Engine
from fleetcron.store.database import Database
from fleetcron.store.postgresql import PostgresqlDatabase
from fleetcron.store.sqlite import SqliteDatabase


@pytest.fixture
def database(either_database: Database) -> Database:
    """An empty database with the projects p1 and p2, once SQLite, once PostgreSQL."""
    return either_database


@pytest.fixture
def engine(database: Database, clock: Clock) -> Iterator[Engine]:
    """An engine over an empty fleet, at NOW."""
    engine = Engine(database, clock)
    yield engine
    engine.close()


@pytest.fixture
def sqlite_engine(sqlite_database: SqliteDatabase, clock: Clock) -> Iterator[Engine]:
    """The same on SQLite alone, for what only a file can be made to do."""
    engine = Engine(sqlite_database, clock)
    yield engine
    engine.close()


@pytest.fixture
def postgresql_engine(postgresql_database: PostgresqlDatabase, clock: Clock) -> Iterator[Engine]:
    """The same on PostgreSQL alone, for what takes several at once."""
    engine = Engine(postgresql_database, clock)
    yield engine
    engine.close()
