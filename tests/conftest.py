"""What tests of every room may ask for."""

from __future__ import annotations

import pytest

from builders import Clock
from fleetcron.store.database import Database
from fleetcron.store.sqlite import SqliteDatabase

pytest_plugins = ["databases", "peers.plugin"]


@pytest.fixture
def clock() -> Clock:
    """A clock that stands at NOW until the test moves it."""
    return Clock()


@pytest.fixture
def database(sqlite_database: SqliteDatabase) -> Database:
    """An empty database with the projects p1 and p2: SQLite, where the folder's conftest says nothing else."""
    return sqlite_database
