"""Wall-clock rules in a zone, and the instants at which they fire."""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from itertools import pairwise
from typing import Any, Literal

import msgspec
import pytest
from dateutil import rrule
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fleetcron.domain.schedule import LAST_DAY, Cycle, Daily, Once, Rule, Schedule, schedule_of, upcoming
from fleetcron.domain.zone import zone_names, zone_of
from fleetcron.errors import Invalid

ALL_MONTHS = tuple(range(1, 13))
ZONES = sorted(zone_names())
RRULE_DAYS = (rrule.SU, rrule.MO, rrule.TU, rrule.WE, rrule.TH, rrule.FR, rrule.SA)
LAST_MOMENT = datetime.max.replace(tzinfo=UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def a_rule(cycle: Cycle = Cycle.DAILY, **fields: Any) -> Rule:  # noqa: ANN401  (the fields of Rule)
    """A rule of ``cycle`` that is complete: every day at 09:00 in UTC unless ``fields`` say otherwise."""
    complete: dict[str, Any] = {
        "interval_days": 1,
        "weekdays": (1, 2, 3, 4, 5, 6, 7),
        "months": ALL_MONTHS,
        "month_days": tuple(range(1, 32)),
        "on_date": date(2026, 6, 1),
        "at": time(9),
        "zone": "UTC",
    }
    return Rule(cycle=cycle, **(complete | fields))


def daily(zone: str, at: str, *, interval_days: int = 1, anchor: date | None = None) -> Schedule:
    rule = a_rule(zone=zone, at=time.fromisoformat(at), interval_days=interval_days)
    return schedule_of(rule, anchor=anchor)


def clock(schedule: Schedule, after: str, count: int) -> list[str]:
    """The next fires as the schedule's own clock reads them, with its offset."""
    return [schedule.local(fire).isoformat(sep=" ") for fire in upcoming(schedule, utc(after), count)]


# Days on which the clock is moved


def test_new_york_in_spring_fires_once_moved_forward_by_the_gap() -> None:
    assert clock(daily("America/New_York", "02:30"), "2026-03-07", 3) == [
        "2026-03-07 02:30:00-05:00",
        "2026-03-08 03:30:00-04:00",
        "2026-03-09 02:30:00-04:00",
    ]


def test_new_york_in_autumn_fires_once_at_the_first_of_the_two() -> None:
    assert clock(daily("America/New_York", "01:30"), "2026-10-31", 3) == [
        "2026-10-31 01:30:00-04:00",
        "2026-11-01 01:30:00-04:00",
        "2026-11-02 01:30:00-05:00",
    ]


def test_asked_between_the_two_readings_of_a_repeated_hour_the_next_fire_is_tomorrow() -> None:
    schedule = daily("America/New_York", "01:30")
    assert schedule.next_after(utc("2026-11-01 05:29:59")) == utc("2026-11-01 05:30:00")
    assert schedule.next_after(utc("2026-11-01 05:45:00")) == utc("2026-11-02 06:30:00")
    assert schedule.next_after(utc("2026-11-01 06:30:00")) == utc("2026-11-02 06:30:00")


def test_a_fold_that_clings_to_the_time_does_not_choose_the_second_reading() -> None:
    rule = a_rule(zone="America/New_York", at=time(1, 30, fold=1))
    assert schedule_of(rule, anchor=None).next_after(utc("2026-11-01")) == utc("2026-11-01 05:30:00")


def test_london_moves_forward_in_march_and_fires_once_in_october() -> None:
    schedule = daily("Europe/London", "01:30")
    assert clock(schedule, "2026-03-29", 2) == ["2026-03-29 02:30:00+01:00", "2026-03-30 01:30:00+01:00"]
    assert clock(schedule, "2026-10-25", 2) == ["2026-10-25 01:30:00+01:00", "2026-10-26 01:30:00+00:00"]


def test_lord_howe_moves_by_half_an_hour() -> None:
    spring, autumn = daily("Australia/Lord_Howe", "02:15"), daily("Australia/Lord_Howe", "01:45")
    assert clock(spring, "2026-10-03 12:00", 2) == ["2026-10-04 02:45:00+11:00", "2026-10-05 02:15:00+11:00"]
    assert clock(autumn, "2026-04-04 12:00", 2) == ["2026-04-05 01:45:00+11:00", "2026-04-06 01:45:00+10:30"]


def test_santiago_skips_midnight_and_keeps_its_days() -> None:
    assert clock(daily("America/Santiago", "00:00"), "2026-09-05 12:00", 3) == [
        "2026-09-06 01:00:00-03:00",
        "2026-09-07 00:00:00-03:00",
        "2026-09-08 00:00:00-03:00",
    ]
    # In autumn the hour before midnight comes twice.
    assert clock(daily("America/Santiago", "23:30"), "2026-04-04 12:00", 2) == [
        "2026-04-04 23:30:00-03:00",
        "2026-04-05 23:30:00-04:00",
    ]


def test_casablanca_changes_twice_around_ramadan() -> None:
    schedule = daily("Africa/Casablanca", "02:30")
    assert clock(schedule, "2026-02-14 12:00", 2) == ["2026-02-15 02:30:00+01:00", "2026-02-16 02:30:00+00:00"]
    assert clock(schedule, "2026-03-21 12:00", 2) == ["2026-03-22 03:30:00+01:00", "2026-03-23 02:30:00+01:00"]


def test_the_day_that_apia_skipped_fires_once() -> None:
    assert clock(daily("Pacific/Apia", "09:00"), "2011-12-29", 4) == [
        "2011-12-29 09:00:00-10:00",
        "2011-12-31 09:00:00+14:00",
        "2012-01-01 09:00:00+14:00",
        "2012-01-02 09:00:00+14:00",
    ]


def test_a_rule_for_the_day_that_apia_skipped_alone_fires_a_day_later() -> None:
    once = schedule_of(a_rule(Cycle.ONCE, zone="Pacific/Apia", on_date=date(2011, 12, 30)), anchor=None)
    assert clock(once, "2011-12-01", 5) == ["2011-12-31 09:00:00+14:00"]
    fridays = schedule_of(a_rule(Cycle.WEEKLY, zone="Pacific/Apia", weekdays=(6,)), anchor=None)
    assert clock(fridays, "2011-12-29", 2) == ["2011-12-31 09:00:00+14:00", "2012-01-06 09:00:00+14:00"]


def test_a_gap_that_ends_past_midnight_leaves_the_date_as_the_rule_names_it() -> None:
    # Nuuk skips from 23:00 to midnight on Saturday 28 March 2026.
    schedule = daily("America/Nuuk", "23:30", interval_days=2)
    assert schedule.date_after(utc("2026-03-28 12:00")) == date(2026, 3, 28)
    assert clock(schedule, "2026-03-28 12:00", 3) == [
        "2026-03-29 00:30:00-01:00",
        "2026-03-30 23:30:00-01:00",
        "2026-04-01 23:30:00-01:00",
    ]


@pytest.mark.parametrize("cycle", Cycle)
def test_a_fire_that_a_gap_moved_past_midnight_is_still_to_come_on_the_next_day(cycle: Cycle) -> None:
    rule = a_rule(cycle, zone="America/Nuuk", at=time(23, 30), on_date=date(2026, 3, 28), month_days=(28,))
    schedule = schedule_of(rule, anchor=date(2026, 3, 28))
    asked_at = utc("2026-03-29 01:10")
    assert schedule.local(asked_at).date() == date(2026, 3, 29)
    assert schedule.next_after(asked_at) == utc("2026-03-29 01:30")


# What the cycles mean


def test_once_fires_once_and_is_then_past() -> None:
    schedule = schedule_of(a_rule(Cycle.ONCE, zone="Asia/Shanghai"), anchor=None)
    assert isinstance(schedule, Once)
    assert schedule.next_after(utc("1999-01-01")) == utc("2026-06-01 01:00:00")
    assert schedule.next_after(utc("2026-06-01 00:59:59")) == utc("2026-06-01 01:00:00")
    assert schedule.next_after(utc("2026-06-01 01:00:00")) is None
    assert schedule.date_after(utc("2026-06-01 01:00:00")) is None


def test_every_day_means_every_day_and_today_if_the_hour_is_still_to_come() -> None:
    assert clock(daily("Asia/Shanghai", "09:00"), "2026-02-28", 3) == [
        "2026-02-28 09:00:00+08:00",
        "2026-03-01 09:00:00+08:00",
        "2026-03-02 09:00:00+08:00",
    ]


def test_an_interval_counts_from_its_anchor_and_not_before() -> None:
    schedule = daily("UTC", "09:00", interval_days=3, anchor=date(2026, 1, 30))
    assert clock(schedule, "2020-01-01", 3) == [
        "2026-01-30 09:00:00+00:00",
        "2026-02-02 09:00:00+00:00",
        "2026-02-05 09:00:00+00:00",
    ]
    assert schedule.next_after(utc("2026-01-30 09:00")) == utc("2026-02-02 09:00")
    assert schedule.next_after(utc("2026-02-01 10:00")) == utc("2026-02-02 09:00")


def test_an_anchor_of_fifty_years_ago_still_counts() -> None:
    anchor = date(1976, 3, 1)
    fire = daily("UTC", "09:00", interval_days=31, anchor=anchor).next_after(utc("2026-05-05"))
    assert fire is not None
    assert (fire.date() - anchor).days % 31 == 0
    assert utc("2026-05-05") < fire <= utc("2026-06-05")


def test_an_interval_without_an_anchor_counts_from_the_first_fire_asked_for() -> None:
    schedule = daily("UTC", "09:00", interval_days=10)
    assert isinstance(schedule, Daily)
    assert schedule.next_after(utc("2026-05-05 10:00")) == utc("2026-05-06 09:00")
    assert clock(schedule, "2026-05-05 10:00", 3) == [
        "2026-05-06 09:00:00+00:00",
        "2026-05-16 09:00:00+00:00",
        "2026-05-26 09:00:00+00:00",
    ]


def test_weekday_1_is_sunday_and_7_saturday() -> None:
    for weekday in range(1, 8):
        schedule = schedule_of(a_rule(Cycle.WEEKLY, weekdays=(weekday, weekday)), anchor=None)
        # 4 January 2026 was a Sunday.
        assert schedule.date_after(utc("2026-01-04")) == date(2026, 1, 3 + weekday)
        assert upcoming(schedule, utc("2026-01-04"), 2)[1].date() == date(2026, 1, 10 + weekday)


def month_dates(
    months: tuple[int, ...], month_days: tuple[int | Literal["L"], ...], after: str, count: int
) -> list[str]:
    schedule = schedule_of(a_rule(Cycle.MONTHLY, months=months, month_days=month_days), anchor=None)
    return [fire.date().isoformat() for fire in upcoming(schedule, utc(after), count)]


def test_the_last_day_mixes_with_numbers_and_coincides_with_one_without_firing_twice() -> None:
    assert month_dates(ALL_MONTHS, (LAST_DAY, 28, 1, 30, 28), "2026-01-28 12:00", 8) == [
        *("2026-01-30", "2026-01-31", "2026-02-01", "2026-02-28", "2026-03-01", "2026-03-28", "2026-03-30"),
        "2026-03-31",
    ]


def test_a_day_that_a_month_lacks_is_skipped() -> None:
    assert month_dates(ALL_MONTHS, (31,), "2026-01-31 12:00", 3) == ["2026-03-31", "2026-05-31", "2026-07-31"]
    assert month_dates((4, 2, 5), (31, 30), "2026-01-01", 3) == ["2026-04-30", "2026-05-30", "2026-05-31"]


def test_29_february_fires_in_leap_years_across_a_century_that_is_none() -> None:
    assert month_dates((2,), (29,), "2088-03-01", 3) == ["2092-02-29", "2096-02-29", "2104-02-29"]
    assert month_dates((2,), (LAST_DAY,), "2027-01-01", 2) == ["2027-02-28", "2028-02-29"]


def test_months_in_any_order_fire_in_the_order_of_the_year() -> None:
    assert month_dates((12, 3, 3), (15, 2), "2026-03-02 12:00", 4) == [
        *("2026-03-15", "2026-12-02", "2026-12-15", "2027-03-02"),
    ]


def test_a_fire_at_the_moment_of_expiry_still_counts() -> None:
    at_expiry = schedule_of(a_rule(expires="2026-05-07T17:00:00+08:00"), anchor=None)
    assert upcoming(at_expiry, utc("2026-05-05 12:00"), 5) == [utc("2026-05-06 09:00"), utc("2026-05-07 09:00")]
    before_expiry = schedule_of(a_rule(expires="2026-05-07T08:59:59.999Z"), anchor=None)
    assert upcoming(before_expiry, utc("2026-05-05 12:00"), 5) == [utc("2026-05-06 09:00")]
    assert before_expiry.next_after(utc("2027-01-01")) is None


# The edges of the calendar


@pytest.mark.parametrize("zone", ["UTC", "GMT+14", "GMT-14", "Pacific/Apia", "America/New_York", "Etc/GMT+12"])
@pytest.mark.parametrize("cycle", Cycle)
@pytest.mark.parametrize("at", ["00:00:00", "23:59:59"])
def test_nothing_overflows_at_the_edges_of_the_calendar(zone: str, cycle: Cycle, at: str) -> None:
    rule = a_rule(cycle, zone=zone, at=time.fromisoformat(at), on_date=date(9998, 12, 31), interval_days=31)
    for anchor in (None, date.min, date(9998, 12, 31)):
        schedule = schedule_of(rule, anchor=anchor)
        for west in (timezone(timedelta(hours=-14)), UTC, timezone(timedelta(hours=14))):
            assert schedule.next_after(datetime.min.replace(tzinfo=west)) is not None
            assert schedule.next_after(datetime.max.replace(tzinfo=west)) is None
    at_the_end = schedule_of(rule, anchor=date(9998, 12, 31))
    assert at_the_end.next_after(utc("9998-12-20")) is not None
    assert at_the_end.next_after(utc("9999-01-02")) is None


def test_a_rule_asked_about_an_instant_before_1970_answers_from_1970_on() -> None:
    fire = daily("Asia/Tokyo", "09:00").next_after(datetime.min.replace(tzinfo=UTC))
    assert fire is not None
    assert utc("1969-12-30") < fire < utc("1970-01-03")


# What is refused


@pytest.mark.parametrize(
    ("cycle", "field"),
    [
        *((cycle, "at") for cycle in Cycle),
        (Cycle.ONCE, "on_date"),
        (Cycle.DAILY, "interval_days"),
        (Cycle.WEEKLY, "weekdays"),
        (Cycle.MONTHLY, "months"),
        (Cycle.MONTHLY, "month_days"),
    ],
)
def test_a_cycle_says_which_field_it_misses(cycle: Cycle, field: str) -> None:
    with pytest.raises(Invalid, match="is required for this kind of cycle") as caught:
        schedule_of(a_rule(cycle, **{field: None}), anchor=None)
    assert caught.value.field == field


@pytest.mark.parametrize("field", ["weekdays", "months", "month_days"])
def test_an_empty_list_is_as_good_as_none(field: str) -> None:
    empty: dict[str, Any] = {field: ()}
    assert upcoming(schedule_of(a_rule(Cycle.DAILY, **empty), anchor=None), utc("2026-01-01"), 1)
    with pytest.raises(Invalid, match="is required"):
        schedule_of(a_rule(Cycle.WEEKLY if field == "weekdays" else Cycle.MONTHLY, **empty), anchor=None)


@pytest.mark.parametrize("cycle", Cycle)
@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("interval_days", days) for days in (-1, 0, 32)),
        *(("weekdays", (1, day)) for day in (-1, 0, 8)),
        *(("months", (12, month)) for month in (-1, 0, 13)),
        *(("month_days", (LAST_DAY, 31, day)) for day in (-1, 0, 32)),
        *(("on_date", day) for day in (date.min, date(1969, 12, 31), date(9999, 1, 1), date.max)),
        *(("at", at) for at in (time(9, 0, 0, 1), time(9, tzinfo=UTC))),
        *(("zone", name) for name in ("", "America", "../UTC")),
    ],
)
def test_a_field_out_of_range_is_refused_whether_the_cycle_uses_it_or_not(
    cycle: Cycle, field: str, value: object
) -> None:
    with pytest.raises(Invalid) as caught:
        schedule_of(a_rule(cycle, **{field: value}), anchor=None)
    assert caught.value.field == field


@pytest.mark.parametrize(("months", "month_days"), [((2,), (30,)), ((2,), (31, 30)), ((2, 4, 6, 9, 11), (31,))])
def test_a_monthly_rule_that_can_never_fire_is_refused(months: tuple[int, ...], month_days: tuple[int, ...]) -> None:
    with pytest.raises(Invalid) as caught:
        schedule_of(a_rule(Cycle.MONTHLY, months=months, month_days=month_days), anchor=None)
    assert caught.value.field == "month_days"
    assert month_dates(months, (*month_days, LAST_DAY), "2026-02-01", 1) == ["2026-02-28"]


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2030-01-02T03:04:05Z", "2030-01-02 03:04:05"),
        ("2030-01-02T03:04:05.000Z", "2030-01-02 03:04:05"),
        ("2030-01-02T03:04:05.123456789Z", "2030-01-02 03:04:05.123456"),
        ("2030-01-02T03:04:05+00:00", "2030-01-02 03:04:05"),
        ("2030-01-02T03:04:05+08:00", "2030-01-01 19:04:05"),
        ("2030-01-02T03:04:05-0330", "2030-01-02 06:34:05"),
        ("2030-01-02T03:04:05", "2030-01-02 03:04:05"),
        ("2030-01-02 03:04:05", "2030-01-02 03:04:05"),
        ("2030-01-02 03:04", "2030-01-02 03:04:00"),
        ("9999-12-31T23:59:59-14:00", "9999-01-02 00:00:00"),
    ],
)
def test_an_expiry_is_read_in_each_form_that_clients_write(text: str, instant: str) -> None:
    assert a_rule(expires=text).expires_at() == utc(instant)


@pytest.mark.parametrize(
    "text",
    [
        *("", "never", "0", "2030-01-02", "20300102T030405Z", "2030-W01-1T03:04:05", "2030-01-02X03:04:05"),
        *("2030-02-30T03:04:05Z", "2030-01-02T25:00:00Z", "2030-01-02T03:04:60Z", "2030-01-02T03:04:05+24:00"),
        *("2030-01-02T03:04:05Z\n", "٢030-01-02T03:04:05Z", "2030-01-02T03:04:05 UTC", "1" * 1000),
        *("1969-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "0000-01-01T00:00:00Z"),
    ],
)
def test_any_other_expiry_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        schedule_of(a_rule(expires=text), anchor=None)
    assert caught.value.field == "expires"


@given(st.text(max_size=40))
def test_no_text_of_an_expiry_raises_anything_but_invalid(text: str) -> None:
    try:
        instant = a_rule(expires=text).expires_at()
    except Invalid:
        return
    assert instant is not None
    assert instant.tzinfo is UTC


# Laws, for all rules in all zones. The oracle shares neither the calendar nor the conversion with the code: rrule
# names the dates on a naive clock, and the instant is found by asking the zone what its clock reads, without PEP 495's
# fold. So the days of a transition need not be left out; no zone has two transitions within the span that it looks at.


def reading(instant: datetime, zone: tzinfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


def first_reading(wall: datetime, zone: tzinfo) -> datetime:
    """The first instant at which the zone's clock reads ``wall``; in a gap, ``wall`` by the offset before it."""
    around = (wall.replace(tzinfo=UTC) + timedelta(hours=hours) for hours in (-38, 38))
    offsets = {reading(instant, zone) - instant.replace(tzinfo=None) for instant in around}
    instants = sorted(wall.replace(tzinfo=UTC) - offset for offset in offsets)
    return next((instant for instant in instants if reading(instant, zone) == wall), instants[-1])


def walls(rule: Rule, anchor: date, until: datetime) -> list[datetime]:
    """What a naive clock reads at the fires from ``anchor`` to ``until``, as dateutil counts them."""
    assert rule.at is not None
    start = datetime.combine(anchor, rule.at)
    match rule.cycle:
        case Cycle.ONCE:
            assert rule.on_date is not None
            moment = datetime.combine(rule.on_date, rule.at)
            return [moment] if start <= moment <= until else []
        case Cycle.DAILY:
            return list(rrule.rrule(rrule.DAILY, dtstart=start, until=until, interval=rule.interval_days or 1))
        case Cycle.WEEKLY:
            days = [RRULE_DAYS[day - 1] for day in rule.weekdays or ()]
            return list(rrule.rrule(rrule.WEEKLY, dtstart=start, until=until, byweekday=days))
        case Cycle.MONTHLY:
            numbers = [-1 if day == LAST_DAY else int(day) for day in rule.month_days or ()]
            return list(rrule.rrule(rrule.DAILY, dtstart=start, until=until, bymonth=rule.months, bymonthday=numbers))


def expected(rule: Rule, anchor: date, after: datetime, until: datetime) -> list[datetime]:
    """The fires in (``after``, ``until``] by the oracle; ``anchor`` must lie before ``after``, by days if not daily."""
    zone, expires_at = zone_of(rule.zone), rule.expires_at()
    naive_until = until.replace(tzinfo=None) + timedelta(days=2)
    fires = {first_reading(wall, zone) for wall in walls(rule, anchor, naive_until)}
    return sorted(fire for fire in fires if after < fire <= until and (expires_at is None or fire <= expires_at))


def fires_between(schedule: Schedule, after: datetime, until: datetime) -> list[datetime]:
    fires: list[datetime] = []
    while (fire := schedule.next_after(fires[-1] if fires else after)) is not None and fire <= until:
        fires.append(fire)
    return fires


def sweep_rule(index: int, zone: str, year: int) -> Rule:
    """The rule for the zone at ``index``: cycles and hours turn at different paces, so that they meet in all ways."""
    at = (time(0), time(0, 30), time(2, 30), time(23, 59, 59), time(1), time(3, 15))[index % 6]
    match (index // 6) % 4:
        case 0:
            return a_rule(zone=zone, at=at)
        case 1:
            return a_rule(zone=zone, at=at, interval_days=2 + index % 6)
        case 2:
            return a_rule(Cycle.WEEKLY, zone=zone, at=at, weekdays=(1, 1 + index % 7, 7))
        case _:
            return a_rule(
                Cycle.MONTHLY,
                zone=zone,
                at=at,
                month_days=(LAST_DAY, 31, 1 + index % 31),
                expires=f"{year}-12-01T00:00:00Z",
            )


@pytest.mark.parametrize("turn", range(4))
def test_in_every_zone_a_year_of_fires_is_what_the_oracle_says(turn: int) -> None:
    years = (2026, 2011, 1987, 2037)
    for place, zone in enumerate(ZONES):
        year = years[(place + turn) % 4]
        rule = sweep_rule(place + 7 * turn, zone, year)
        anchor, after = date(year - 1, 12, 20), datetime(year, 1, 1, tzinfo=UTC)
        until = after + timedelta(days=366)
        fires = fires_between(schedule_of(rule, anchor=anchor), after, until)
        assert fires == expected(rule, anchor, after, until), (zone, rule)
        assert all(earlier < later for earlier, later in pairwise(fires)), (zone, rule)


def test_in_every_zone_its_own_transitions_fire_as_the_oracle_says() -> None:
    """Daily at the hour of the zone's newest transition, and half an hour to either side of it."""
    for zone in ZONES:
        moved_at = newest_transition(zone_of(zone))
        if moved_at is None:
            continue
        after, until = moved_at - timedelta(days=3), moved_at + timedelta(days=3)
        for minutes in (-30, 0, 30):
            wall = reading(moved_at - timedelta(seconds=1), zone_of(zone)) + timedelta(minutes=minutes, seconds=1)
            rule = a_rule(zone=zone, at=wall.time())
            anchor = (after - timedelta(days=3)).date()
            assert fires_between(schedule_of(rule, anchor=anchor), after, until) == expected(rule, anchor, after, until)


def newest_transition(zone: tzinfo) -> datetime | None:
    """The newest instant from 1970 to 2026 at which the zone's offset changes, to the second."""
    steps = [utc("1970-01-01") + timedelta(days=10 * step) for step in range(2081)]
    for earlier, later in pairwise(reversed(steps)):
        low, high = later, earlier
        if low.astimezone(zone).utcoffset() == high.astimezone(zone).utcoffset():
            continue
        while high - low > timedelta(seconds=1):
            middle = (low + (high - low) / 2).replace(microsecond=0)
            same = middle.astimezone(zone).utcoffset() == low.astimezone(zone).utcoffset()
            low, high = (middle, high) if same else (low, middle)
        return high
    return None


instants = st.datetimes(datetime(1972, 1, 1), datetime(2045, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    """Rules of every cycle that ``schedule_of`` accepts, with an expiry within the years of ``instants`` or none."""
    month_day: st.SearchStrategy[int | Literal["L"]] = st.integers(1, 31) | st.just(LAST_DAY)
    rule = Rule(
        cycle=draw(st.sampled_from(Cycle)),
        interval_days=draw(st.integers(1, 31)),
        weekdays=draw(st.lists(st.integers(1, 7), min_size=1, max_size=9).map(tuple)),
        months=draw(st.lists(st.integers(1, 12), min_size=1, max_size=12).map(tuple)),
        month_days=tuple(draw(st.lists(month_day, min_size=1, max_size=5))),
        zone=draw(st.sampled_from([*ZONES, "GMT+8", "GMT-3:30", "Coordinated Universal Time"])),
        on_date=draw(st.dates(date(1972, 1, 1), date(2045, 1, 1))),
        at=draw(st.times().map(lambda at: at.replace(microsecond=0))),
        expires=draw(st.none() | instants.map(datetime.isoformat)),
    )
    longest = max(calendar.monthrange(2000, month)[1] for month in rule.months or ())
    possible = any(day == LAST_DAY or int(day) <= longest for day in rule.month_days or ())
    return rule if possible else msgspec.structs.replace(rule, month_days=(*(rule.month_days or ()), LAST_DAY))


@settings(max_examples=200, deadline=None)
@given(rule=rules(), after=instants, ago_days=st.integers(4, 400))
def test_fires_are_what_the_oracle_says(rule: Rule, after: datetime, ago_days: int) -> None:
    anchor, until = (after - timedelta(days=ago_days)).date(), after + timedelta(days=120)
    assert fires_between(schedule_of(rule, anchor=anchor), after, until) == expected(rule, anchor, after, until)


@settings(max_examples=400, deadline=None)
@given(rule=rules(), after=instants, anchor=st.none() | st.dates(date(1960, 1, 1), date(2050, 1, 1)))
@example(a_rule(zone="Pacific/Apia"), utc("2011-12-29 20:00"), None)
@example(a_rule(zone="Pacific/Kwajalein", at=time(23, 59, 59)), utc("1993-08-20"), date(1993, 8, 20))
def test_fires_rise_follow_the_start_and_obey_the_expiry(rule: Rule, after: datetime, anchor: date | None) -> None:
    schedule = schedule_of(rule, anchor=anchor)
    fires = upcoming(schedule, after, 6)
    assert all(earlier < later for earlier, later in pairwise([after, *fires]))
    assert all(fire.tzinfo is UTC and fire <= (rule.expires_at() or LAST_MOMENT) for fire in fires)
    assert rule.cycle is not Cycle.ONCE or len(fires) <= 1
    assert rule.cycle is Cycle.ONCE or rule.expires is not None or len(fires) == 6
    if fires:
        assert schedule.next_after(fires[0] - timedelta(seconds=1)) == fires[0]


@settings(max_examples=400, deadline=None)
@given(
    rule=rules(),
    anchor=st.none() | st.dates(date(1960, 1, 1), date(2050, 1, 1)),
    earlier=st.datetimes(timezones=st.just(UTC)),
    apart=st.timedeltas(timedelta(0), timedelta(days=40)),
)
def test_a_later_question_never_has_an_earlier_answer(
    rule: Rule, anchor: date | None, earlier: datetime, apart: timedelta
) -> None:
    schedule = schedule_of(rule, anchor=anchor)
    later = min(earlier, LAST_MOMENT - apart) + apart
    assert (schedule.next_after(earlier) or LAST_MOMENT) <= (schedule.next_after(later) or LAST_MOMENT)


@settings(max_examples=200, deadline=None)
@given(rules())
def test_a_rule_survives_a_round_trip_through_json(rule: Rule) -> None:
    assert msgspec.json.decode(msgspec.json.encode(rule), type=Rule) == rule


def test_an_all_but_empty_rule_survives_a_round_trip_through_json() -> None:
    rule = Rule(cycle=Cycle.ONCE, zone="")
    assert msgspec.json.decode(msgspec.json.encode(rule), type=Rule) == rule
