"""What tests of every room may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from builders import Clock, insert_projects
from fleetcron.store.database import Database

pytest_plugins = ["peers.plugin"]


@pytest.fixture
def clock() -> Clock:
    """A clock that stands at NOW until the test moves it."""
    return Clock()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty database with the projects p1 and p2."""
    database = Database(tmp_path / "database")
    with database.transaction() as tx:
        insert_projects(tx)
    yield database
    database.close()
