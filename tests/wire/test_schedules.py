"""The schedule part of a task: what is read, how it is echoed, and fires as the vendor writes them."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcron.domain.schedule import Cycle, Rule
from fleetcron.domain.zone import zone_names, zone_of
from fleetcron.errors import Invalid
from fleetcron.wire.fields import read_body
from fleetcron.wire.schedules import (
    ScheduleFields,
    rule_changes,
    rule_of,
    say_cron,
    say_fire,
    say_instant,
    say_moment,
    say_rule,
)

ZONE = "Asia/Shanghai"
# The vendor's Terraform provider holds future_executions against these two.
IN_SHANGHAI = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2} GMT\+08:00")
IN_UTC = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2} GMT")
ANYWHERE = re.compile(r"(\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}) GMT(?:([+-]\d{2}):(\d{2}))?")
WORDS = ("week_list", "month_list", "date_list", "scheduled_date", "scheduled_time", "expire_time")


def fields(**said: object) -> ScheduleFields:
    return read_body(msgspec.json.encode(said), ScheduleFields)


def rule(**said: object) -> Rule:
    return rule_of(fields(**said), default_zone=ZONE)


def refused(**said: object) -> Invalid:
    with pytest.raises(Invalid) as caught:
        rule(**{"scheduled_type": "DAY", **said})
    return caught.value


def numbers(most: int) -> st.SearchStrategy[str]:
    return st.lists(st.integers(1, most).map(str), min_size=1, max_size=12).map(",".join)


def test_a_rule_is_what_the_fields_say() -> None:
    assert rule(
        scheduled_type="MONTH",
        day_interval=3,
        week_list="7,1",
        month_list="12,1",
        date_list="L,1",
        time_zone="Europe/Paris",
        scheduled_date="2030-02-28",
        scheduled_time="23:59:59",
        expire_time="2031-01-01T00:00:00Z",
    ) == Rule(
        cycle=Cycle.MONTHLY,
        interval_days=3,
        weekdays=(7, 1),
        months=(12, 1),
        month_days=("L", 1),
        zone="Europe/Paris",
        on_date=date(2030, 2, 28),
        at=time(23, 59, 59),
        expires="2031-01-01T00:00:00Z",
    )


def test_a_rule_without_a_zone_is_in_the_default_one() -> None:
    assert rule(scheduled_type="DAY").zone == ZONE


@pytest.mark.parametrize(
    ("said", "cycle"),
    [("day", Cycle.DAILY), ("Week", Cycle.WEEKLY), ("fixed_time", Cycle.ONCE), ("MONTH", Cycle.MONTHLY)],
)
def test_a_cycle_is_read_in_any_case_and_said_in_upper(said: str, cycle: Cycle) -> None:
    read = rule(scheduled_type=said)
    assert read.cycle is cycle
    assert say_rule(read)["scheduled_type"] == said.upper()


@pytest.mark.parametrize("said", [{}, {"scheduled_type": None}])
def test_a_rule_needs_a_cycle(said: dict[str, object]) -> None:
    with pytest.raises(Invalid) as caught:
        rule(**said)
    assert (caught.value.field, caught.value.reason) == ("scheduled_type", "is required")


@given(numbers(7), numbers(12), st.lists(st.one_of(st.integers(1, 31).map(str), st.just("L")), min_size=1, max_size=12))
def test_lists_are_echoed_as_they_were_given(weekdays: str, months: str, days: list[str]) -> None:
    said = {"week_list": weekdays, "month_list": months, "date_list": ",".join(days)}
    assert say_rule(rule(scheduled_type="MONTH", **said)).items() >= said.items()


@pytest.mark.parametrize("said", ["1,2,28,L", "L", "L,L", "31,1", "7,7,7"])
def test_dates_may_mix_numbers_with_the_last_day(said: str) -> None:
    assert say_rule(rule(scheduled_type="MONTH", date_list=said))["date_list"] == said


@pytest.mark.parametrize(
    ("field", "text"),
    [(field, text) for field in ("week_list", "month_list", "date_list") for text in (
        "0", "-1", "01", "1,", ",1", "1,,2", "1;2", "1 2", " 1", "1\n", "x", "٣", "1.0", "100", "1" * 256,
    )]
    + [
        ("week_list", "8"), ("week_list", "L"), ("month_list", "13"), ("month_list", "L"),
        ("date_list", "32"), ("date_list", "LL"), ("date_list", "L-1"),
    ],
)  # fmt: skip
def test_a_list_with_anything_else_is_refused_by_name(field: str, text: str) -> None:
    assert refused(**{field: text}).field == field


@pytest.mark.parametrize("text", ["2030-02-30", "2030-2-3", "20300203", "2030-02-03T", "0000-01-01", "2030-W01-1", "x"])
def test_a_date_that_is_none_is_refused_by_name(text: str) -> None:
    assert refused(scheduled_date=text).field == "scheduled_date"


@pytest.mark.parametrize("text", ["24:00:00", "9:00:00", "09:00", "09:60:00", "090000", "09:00:00Z", "09:00:00\n", "x"])
def test_a_time_that_is_none_is_refused_by_name(text: str) -> None:
    assert refused(scheduled_time=text).field == "scheduled_time"


@pytest.mark.parametrize("days", [0, 32, -1, 1.5, "1", True, 10**30])
def test_an_interval_outside_its_limits_is_refused_by_name(days: object) -> None:
    assert refused(day_interval=days).field == "day_interval"


def test_a_zone_longer_than_published_is_refused_by_name() -> None:
    assert refused(time_zone="A" * 65).field == "time_zone"


@pytest.mark.parametrize(
    "text",
    [
        "2030-01-02T03:04:05Z",
        "2030-01-02T03:04:05.000Z",
        "2030-01-02T03:04:05+00:00",
        "2030-01-02T11:04:05+08:00",
        "2030-01-02T03:04:05",
        "2030-01-02 03:04:05",
    ],
)
def test_an_expiry_is_echoed_in_the_form_in_which_it_came(text: str) -> None:
    read = rule(scheduled_type="DAY", expire_time=text)
    assert say_rule(read)["expire_time"] == text
    assert read.expires_at() == datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "zone", ["Coordinated Universal Time", "UTC", "GMT+8", "GMT-03:30", "America/Argentina/Ushuaia"]
)
def test_a_zone_is_echoed_as_given(zone: str) -> None:
    assert say_rule(rule(scheduled_type="DAY", time_zone=zone))["time_zone"] == zone


def test_what_was_not_said_is_not_echoed() -> None:
    assert say_rule(rule(scheduled_type="DAY")) == {"scheduled_type": "DAY", "time_zone": ZONE}


def test_what_is_absent_or_null_changes_nothing() -> None:
    nulls = dict.fromkeys(("scheduled_type", "day_interval", "time_zone", *WORDS))
    assert rule_changes(fields(**nulls), default_zone=ZONE) == {}
    assert rule_changes(fields(), default_zone=ZONE) == {}


def test_an_empty_text_clears() -> None:
    cleared = rule_changes(fields(**dict.fromkeys(WORDS, "")), default_zone=ZONE)
    assert cleared == dict.fromkeys(("weekdays", "months", "month_days", "on_date", "at", "expires"))


def test_an_empty_zone_is_the_default_one() -> None:
    assert rule_changes(fields(time_zone=""), default_zone=ZONE) == {"zone": ZONE}


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ("Asia/Shanghai", "2026-03-08 15:30:00 GMT+08:00"),
        ("UTC", "2026-03-08 07:30:00 GMT"),
        ("Coordinated Universal Time", "2026-03-08 07:30:00 GMT"),
        ("Europe/London", "2026-03-08 07:30:00 GMT"),
        ("America/New_York", "2026-03-08 03:30:00 GMT-04:00"),
        ("Asia/Kathmandu", "2026-03-08 13:15:00 GMT+05:45"),
        ("America/St_Johns", "2026-03-08 05:00:00 GMT-02:30"),
        ("Pacific/Kiritimati", "2026-03-08 21:30:00 GMT+14:00"),
        ("GMT-0:30", "2026-03-08 07:00:00 GMT-00:30"),
    ],
)
def test_a_fire_is_said_as_read_off_the_zones_clock(zone: str, said: str) -> None:
    assert say_fire(datetime(2026, 3, 8, 7, 30, tzinfo=UTC), zone) == said


@given(
    st.sampled_from(sorted(zone_names())),
    st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001  (made aware below)
)
def test_a_fire_in_any_zone_reads_back_as_the_same_instant(zone: str, naive: datetime) -> None:
    instant = naive.replace(microsecond=0, tzinfo=UTC)
    read = ANYWHERE.fullmatch(say_fire(instant, zone))
    assert read is not None
    wall, hours, minutes = read.groups()
    offset = "+0000" if hours is None else f"{hours}{minutes}"
    assert datetime.strptime(f"{wall} {offset}", "%Y-%m-%d %H:%M:%S %z") == instant
    assert (hours is None) is (not instant.astimezone(zone_of(zone)).utcoffset())


@given(st.datetimes(datetime(1970, 1, 2), datetime(9998, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001  (naive bounds)
def test_fires_match_what_the_vendors_provider_expects(instant: datetime) -> None:
    assert IN_UTC.fullmatch(say_fire(instant, "UTC"))
    if instant.year >= 1992:  # Shanghai had summer time until then
        assert IN_SHANGHAI.fullmatch(say_fire(instant, ZONE))


def test_a_moment_is_said_in_utc_with_milliseconds() -> None:
    moment = datetime(2022, 3, 7, 18, 40, 43, 858_999, tzinfo=zone_of("Asia/Shanghai"))
    assert say_moment(moment) == "2022-03-07T10:40:43.858Z"
    assert say_moment(datetime(2022, 3, 7, tzinfo=UTC)) == "2022-03-07T00:00:00.000Z"


def test_a_moment_that_has_not_come_is_null() -> None:
    assert say_instant(None) is None


CRON: list[tuple[dict[str, Any], str | None]] = [
    ({"scheduled_type": "FIXED_TIME", "scheduled_date": "2030-01-31"}, "5 30 9 31 1 ? 2030"),
    ({"scheduled_type": "FIXED_TIME"}, None),
    ({"scheduled_type": "DAY", "day_interval": 1}, "5 30 9 * * ?"),
    ({"scheduled_type": "DAY", "day_interval": 3}, "5 30 9 14/3 * ?"),
    ({"scheduled_type": "WEEK", "week_list": "7,1"}, "5 30 9 ? * 7,1"),
    ({"scheduled_type": "MONTH", "month_list": "2,1", "date_list": "28,L"}, "5 30 9 28,L 2,1 ?"),
    ({"scheduled_type": "DAY", "day_interval": 1, "scheduled_time": ""}, None),
]


@pytest.mark.parametrize(("said", "cron"), CRON)
def test_a_rule_is_also_said_as_a_quartz_expression(said: dict[str, Any], cron: str | None) -> None:
    assert say_cron(rule(**{"scheduled_time": "09:30:05"} | said), date(2026, 3, 14)) == cron
