from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcron.domain.fleet import Power
from fleetcron.drivers.contract import Observation
from fleetcron.drivers.printout import REASON_LENGTH_MAX, last_line, printable, read_observation
from fleetcron.errors import Permanent


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (b"power=on", Observation(power=Power.ON)),
        (b"power = OFF \r\n", Observation(power=Power.OFF)),
        (b"power=unknown\nusers=\nboot_marker=\n", Observation(power=Power.UNKNOWN)),
        (b"power=transition\nbusy=true\n", Observation(power=Power.TRANSITION, busy=True)),
        (b"power=on\nboot_marker=a=b\nusers=12\n", Observation(power=Power.ON, boot_marker="a=b", users=12)),
        (b"hello\n\xff\xfe=1\nfan=3\npower=off\npower=on\n", Observation(power=Power.ON)),
    ],
)
def test_an_observation_is_read_from_key_value_lines(output: bytes, expected: Observation) -> None:
    assert read_observation(output) == expected


@pytest.mark.parametrize(
    ("output", "named"),
    [
        (b"", "power=on"),
        (b"on", "power=on"),
        (b"power=maybe", "power=maybe"),
        (b"power=", "power="),
        (b"power=on\nusers=some", "users=some"),
        (b"power=on\nusers=-1", "users=-1"),
        (b"power=on\nusers=9999999999", "users=9999999999"),
        (b"power=on\nbusy=yes", "busy=yes"),
        (b"power=on\nboot_marker=" + b"x" * 201, "boot_marker"),
        (b"power=on\nboot_marker=a\0b", "boot_marker"),
    ],
)
def test_what_cannot_be_used_is_named(output: bytes, named: str) -> None:
    with pytest.raises(Permanent) as caught:
        read_observation(output)
    assert named in caught.value.reason


@given(st.binary(max_size=200))
def test_any_output_is_an_observation_or_a_permanent_error(output: bytes) -> None:
    try:
        read_observation(output)
    except Permanent as error:
        assert printable(error.reason) == error.reason  # noqa: PT017 - either way is right


@given(st.binary(max_size=2000))
def test_a_reason_is_short_and_printable_whatever_was_said(output: bytes) -> None:
    line = last_line(output)
    assert len(line) <= REASON_LENGTH_MAX
    assert not line or line.isprintable()


def test_the_last_line_that_says_anything_counts() -> None:
    assert last_line(b"first\n\x1b[31mthe BMC said no\x1b[0m\n\n  \n") == "[31mthe BMC said no [0m"
