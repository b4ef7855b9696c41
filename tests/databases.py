"""Databases for tests: an empty one of either kind, with the projects p1 and p2."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from builders import insert_projects
from fleetcron.store.database import Database
from fleetcron.store.postgresql import PostgresqlDatabase, migrate
from fleetcron.store.sqlite import SqliteDatabase
from peers.postgresql import Postgresql


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Iterator[SqliteDatabase]:
    """An empty SQLite file with the projects p1 and p2."""
    database = SqliteDatabase(tmp_path / "database")
    with database.transaction() as tx:
        insert_projects(tx)
    yield database
    database.close()


@pytest.fixture(scope="session")
def postgresql_template(postgresql: Postgresql) -> str:
    """The name of a migrated PostgreSQL database with the projects p1 and p2, to be copied."""
    url = postgresql.create_database()
    migrate(url)
    database = PostgresqlDatabase(url)
    with database.transaction() as tx:
        insert_projects(tx)
    database.close()
    name = url.rpartition("/")[2]
    # Nobody can connect to it any more, so nobody can be connected when it is copied.
    with psycopg.connect(postgresql.admin_url(), autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    return name


@pytest.fixture
def migrated_url(postgresql: Postgresql, postgresql_template: str) -> Iterator[str]:
    """The address of a PostgreSQL database with the schema and the projects p1 and p2; it is gone after the test."""
    url = postgresql.create_database(template=postgresql_template)
    yield url
    postgresql.drop_database(url)


@pytest.fixture
def postgresql_database(migrated_url: str) -> Iterator[PostgresqlDatabase]:
    """An empty PostgreSQL database with the projects p1 and p2."""
    database = PostgresqlDatabase(migrated_url)
    yield database
    database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def either_database(request: pytest.FixtureRequest) -> Database:
    """An empty database with the projects p1 and p2: whoever asks for it runs once on SQLite, once on PostgreSQL."""
    database: Database = request.getfixturevalue(f"{request.param}_database")
    return database


def somebody_waits(database: Database) -> bool:
    """Whether somebody waits for a lock or a turn in this PostgreSQL database."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with database.snapshot() as tx:
        return bool(tx.execute(waiting).fetchone()[0])
