"""Everyday words become the wire's: weekdays count from Sunday, lists are numbers, hours have seconds."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcron.cli.exits import Misuse
from fleetcron.cli.schedule import MONTHS, WEEKDAYS, When, clock, month_days, months, weekdays
from fleetcron.wire.fields import read_body
from fleetcron.wire.schedules import ScheduleFields


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        ("mon", "2"),
        ("sun", "1"),
        ("Sat", "7"),
        ("monday, Friday", "2,6"),
        ("mon-fri", "2,3,4,5,6"),
        ("sat-mon", "7,1,2"),
    ],
)
def test_weekdays_count_from_sunday(said: str, sent: str) -> None:
    assert weekdays(said) == sent


@pytest.mark.parametrize("said", ["1", "mo", "noday", "mon,", "mon-", "mon-wed-fri", ""])
def test_what_is_no_weekday_is_refused(said: str) -> None:
    with pytest.raises(Misuse, match="--weekly"):
        weekdays(said)


@given(first=st.integers(0, 6), last=st.integers(0, 6))
def test_a_range_of_weekdays_runs_from_the_first_to_the_last(first: int, last: int) -> None:
    numbers = [int(one) for one in weekdays(f"{WEEKDAYS[first]}-{WEEKDAYS[last][:3]}").split(",")]
    assert (numbers[0], numbers[-1]) == (first + 1, last + 1)
    assert all((after - before) % 7 == 1 for before, after in pairwise(numbers))


def test_months_are_numbers_or_names() -> None:
    assert months("1-3,dec") == "1,2,3,12"
    assert months("nov-feb") == "11,12,1,2"
    assert months("1-12") == ",".join(str(number) for number in range(1, len(MONTHS) + 1))
    with pytest.raises(Misuse, match="--months: '13'"):
        months("13")


def test_days_of_the_month_may_name_the_last() -> None:
    assert month_days("1,15,L") == "1,15,L"
    assert month_days("last, 10-12") == "L,10,11,12"
    for wrong in ("32", "0", "x", ""):
        with pytest.raises(Misuse, match="--monthly"):
            month_days(wrong)


def test_an_hour_gets_its_seconds_and_what_is_none_is_left_to_the_service() -> None:
    assert [clock(text) for text in ("3:30", "03:30:15", "noon")] == ["03:30:00", "03:30:15", "noon"]


@pytest.mark.parametrize(
    "when",
    [
        When(daily=True, every=2, at="3:30"),
        When(weekly="mon,fri", at="03:30", zone="Europe/Berlin"),
        When(monthly="1,L", months="1-6", at="03:30"),
        When(once="2030-01-31", at="03:30", expires="2031-01-01T00:00:00Z"),
    ],
    ids=["daily", "weekly", "monthly", "once"],
)
def test_what_is_said_can_be_read_by_the_service(when: When) -> None:
    when.demand()
    read_body(msgspec.json.encode(when.fields()), ScheduleFields)
