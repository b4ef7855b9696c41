"""Whatever people ask, either database answers alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetcron.store.database import Database
from fleetcron.store.vault import Vault, new_key


@pytest.fixture
def database(either_database: Database) -> Database:
    """An empty database with the projects p1 and p2, once SQLite, once PostgreSQL."""
    return either_database


@pytest.fixture
def bare_database(either_database: Database) -> Database:
    """A database in which there is nothing yet, not even an account."""
    with either_database.transaction() as tx:
        tx.execute("DELETE FROM projects")
        tx.execute("DELETE FROM accounts")
    return either_database


@pytest.fixture
def vault() -> Vault:
    """What seals secrets, with a key of its own."""
    return Vault([new_key()], where=Path("secret.keys"))
