"""Peers that other people wrote, as fixtures for tests of every room."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from peers.keystone import Keystone, keystone_peer
from peers.nats import Nats, nats_peer
from peers.postgresql import FAST, Postgresql, postgresql_peer


@pytest.fixture(scope="session")
def keystone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keystone]:
    """A real Keystone; tests share it, so each makes users and projects of its own."""
    with keystone_peer(tmp_path_factory.mktemp("keystone")) as keystone:
        yield keystone


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgresql]:
    """A real PostgreSQL that forgets on a power cut; tests share it, so each makes databases of its own."""
    with postgresql_peer(tmp_path_factory.mktemp("postgresql"), settings=FAST) as postgresql:
        yield postgresql


@pytest.fixture
def postgresql_url(postgresql: Postgresql) -> Iterator[str]:
    """The address of a new, empty database in PostgreSQL; it is gone after the test."""
    url = postgresql.create_database()
    yield url
    postgresql.drop_database(url)


@pytest.fixture(scope="session")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nats]:
    """A real NATS with JetStream, where everybody may do everything; tests share it, so each takes its streams away."""
    with nats_peer(tmp_path_factory.mktemp("nats")) as nats:
        yield nats
