"""Peers that other people wrote, as fixtures for tests of every room."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from peers.keystone import Keystone, keystone_peer


@pytest.fixture(scope="session")
def keystone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keystone]:
    """A real Keystone; tests share it, so each makes users and projects of its own."""
    with keystone_peer(tmp_path_factory.mktemp("keystone")) as keystone:
        yield keystone
