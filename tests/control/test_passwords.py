"""Passwords: verified or not, and never too many at once."""

from __future__ import annotations

import pytest

from fleetcron.control import passwords
from fleetcron.control.passwords import Passwords
from fleetcron.errors import Unavailable


def test_only_the_password_verifies() -> None:
    some = Passwords()
    kept = some.hash("opens sesame")
    assert kept.startswith("$argon2id$")
    assert some.verify(kept, "opens sesame")
    assert not some.verify(kept, "Opens sesame")
    assert kept != some.hash("opens sesame")


def test_with_nothing_kept_nothing_verifies() -> None:
    some = Passwords()
    assert not some.verify(None, "nobody's password")
    assert not some.verify(None, "")


def test_who_gets_no_turn_in_time_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "WAIT_SECONDS", 0.0)
    some = Passwords()
    with some._turn(), some._turn(), pytest.raises(Unavailable):
        some.hash("a third at once")
    some.hash("turns come back")
