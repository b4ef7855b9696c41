"""Everything that is stored is stored in either database."""

from __future__ import annotations

import pytest

from fleetcron.store.database import Database


@pytest.fixture
def database(either_database: Database) -> Database:
    """An empty database with the projects p1 and p2, once SQLite, once PostgreSQL."""
    return either_database
