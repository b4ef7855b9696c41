"""One service process for all journeys that do not need one of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from running import Running, running


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service with three simulated servers in the group ``lab``."""
    with running(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clients of journeys heed proxies of the environment, and those cannot reach this machine's loopback."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
