"""Whether something that goes round and round still does."""

from __future__ import annotations

import pytest

from fleetcron.assembly.pulse import STILL_SECONDS_MAX, Pulse


class Seconds:
    """A monotonic clock that stands until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_what_has_not_turned_for_long_is_in_trouble_until_it_turns_again() -> None:
    seconds = Seconds()
    pulse = Pulse(clock=seconds)
    seconds.now += STILL_SECONDS_MAX
    assert pulse.trouble() is None
    seconds.now += 1
    assert pulse.trouble() == "has stood still for 31 s"
    pulse.beat()
    assert pulse.trouble() is None


def test_a_call_that_is_felt_beats_and_answers_as_before_also_when_it_fails() -> None:
    seconds = Seconds()
    pulse = Pulse(clock=seconds)
    seconds.now += STILL_SECONDS_MAX + 1
    assert pulse.felt(int)("7") == 7
    assert pulse.trouble() is None
    seconds.now += STILL_SECONDS_MAX + 1
    with pytest.raises(ValueError, match="seven"):
        pulse.felt(int)("seven")
    assert pulse.trouble() is None
