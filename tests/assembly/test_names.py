"""What a process calls itself."""

from __future__ import annotations

import socket

import pytest

from fleetcron.assembly.names import name_of_process
from fleetcron.dispatch.nats.config import is_token


@pytest.mark.parametrize("host", ["db-7", "rack.example.org", "ünnamed", "x" * 80, ""])
def test_a_name_is_good_for_subjects_whatever_the_machine_is_called(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: host)
    assert is_token(name_of_process())


def test_no_two_processes_have_one_name() -> None:
    assert len({name_of_process() for _ in range(100)}) == 100
