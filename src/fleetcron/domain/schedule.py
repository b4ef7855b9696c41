"""Wall-clock rules in a zone, and the instants at which they fire (house rulings 6 to 10).

A fire is a date that the rule names, at the rule's hour, read off a clock in the rule's zone. Where that reading
never occurs because the clock is moved forward, the fire moves forward by the length of the gap; where it occurs
twice, the fire comes at the first (PEP 495, fold=0). Fires rise strictly: two dates that fall on one instant fire once.
Dates from 1970 to 9998 fire; an instant before or after those years may be asked about, and nothing overflows.
"""

from __future__ import annotations

import calendar
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, tzinfo
from enum import StrEnum
from functools import lru_cache
from typing import Final, Literal, TypeVar

import msgspec

from fleetcron.domain.zone import zone_of
from fleetcron.errors import Invalid

LAST_DAY: Final = "L"
INTERVAL_DAYS_MAX = 31
SCHEDULES_REMEMBERED_MAX = 4096
"""Rules whose meaning is remembered: many tasks fire by the same few, again and again."""
YEAR_MIN = 1970
YEAR_MAX = 9998

_BEGIN = datetime(YEAR_MIN, 1, 1, tzinfo=UTC)
# No zone is so far west that its 31 December 9998 lasts until here, and none so far east that its calendar ends.
_END = datetime(YEAR_MAX + 1, 1, 2, tzinfo=UTC)
_LAST_ORDINAL = date(YEAR_MAX, 12, 31).toordinal()
_LEAP_YEAR = 2000
_EXPIRES = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?"
)

_T = TypeVar("_T")


class Cycle(StrEnum):
    """How a rule comes round."""

    ONCE = "ONCE"
    DAILY = "DAILY"
    WEEKLY = "WEEKLY"
    MONTHLY = "MONTHLY"


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator wrote: the cycle and every other field, relevant or not, echoed as given.

    Lists keep their order and repeats. ``weekdays`` 1 is Sunday, 7 Saturday; ``month_days`` may mix numbers with
    ``LAST_DAY``. ``at`` is a naive wall time in whole seconds. ``expires`` is the text as it came: ISO 8601 with
    ``T`` or a space, ``Z``, an offset, or no zone, which is UTC. Only ``schedule_of`` checks any of it.
    """

    cycle: Cycle
    interval_days: int | None = None
    weekdays: tuple[int, ...] | None = None
    months: tuple[int, ...] | None = None
    month_days: tuple[int | Literal["L"], ...] | None = None
    zone: str
    on_date: date | None = None
    at: time | None = None
    expires: str | None = None

    def expires_at(self) -> datetime | None:
        """The last instant at which the rule may fire, in UTC; None if it never expires.

        A year 9999, which people write for "never", is taken back to the end of our calendar.

        Raises:
            Invalid: ``expires`` is no such instant, or lies before 1970.
        """
        return None if self.expires is None else _expiry(self.expires)


@dataclass(frozen=True, kw_only=True)
class _Recurrence(ABC):
    """What every schedule shares: an hour on a zone's clock, and an end; ``expires_at`` itself may still fire."""

    at: time
    zone: tzinfo
    expires_at: datetime | None

    def next_after(self, instant: datetime) -> datetime | None:
        """The first fire strictly after ``instant``, in UTC; None if none is to come (past, expired)."""
        fire = self._next(instant)
        return None if fire is None else fire[1]

    def date_after(self, instant: datetime) -> date | None:
        """The date that the rule names for ``next_after(instant)``.

        Where a gap has moved the fire past midnight, the clock already reads the day after it.
        """
        fire = self._next(instant)
        return None if fire is None else fire[0]

    def local(self, instant: datetime) -> datetime:
        """``instant`` as the schedule's clock reads it: aware, in its zone."""
        return instant.astimezone(self.zone)

    def _next(self, instant: datetime) -> tuple[date, datetime] | None:
        if instant > _END:
            return None
        # A gap moves a fire by up to a day, so yesterday's may still be to come.
        yesterday = max(instant, _BEGIN).astimezone(self.zone).toordinal() - 1
        for day in self._dates_from(yesterday):
            fire = datetime.combine(day, self.at, self.zone).astimezone(UTC)
            # Apia skipped 30 December 2011: its 09:00 and that of the 31st are one instant. Strictly after: once.
            if fire > instant:
                return (day, fire) if self.expires_at is None or fire <= self.expires_at else None
        return None

    @abstractmethod
    def _dates_from(self, ordinal: int) -> Iterable[date]:
        """The dates that the rule names from day ``ordinal`` to the end of 9998, never falling."""


@dataclass(frozen=True, kw_only=True)
class Once(_Recurrence):
    """Fires at ``at`` on ``on_date``, and never again."""

    on_date: date

    def _dates_from(self, ordinal: int) -> Iterable[date]:
        return (self.on_date,) if self.on_date.toordinal() >= ordinal else ()


@dataclass(frozen=True, kw_only=True)
class Daily(_Recurrence):
    """Fires at ``at`` on ``anchor`` and on every ``interval_days``-th date after it.

    Without an anchor the count has not begun: the next fire is on the first date whose ``at`` is still to come.
    """

    interval_days: int
    anchor: date | None

    def _dates_from(self, ordinal: int) -> Iterable[date]:
        if self.anchor is None:
            return map(date.fromordinal, range(ordinal, _LAST_ORDINAL + 1))
        first = self.anchor.toordinal()
        if ordinal > first:
            first = ordinal + (first - ordinal) % self.interval_days
        return map(date.fromordinal, range(first, _LAST_ORDINAL + 1, self.interval_days))


@dataclass(frozen=True, kw_only=True)
class Weekly(_Recurrence):
    """Fires at ``at`` on each of ``weekdays``: 1 is Sunday, 7 Saturday."""

    weekdays: frozenset[int]

    def _dates_from(self, ordinal: int) -> Iterator[date]:
        # Ordinal 7 was a Sunday.
        ordinals = range(ordinal, _LAST_ORDINAL + 1)
        return (date.fromordinal(day) for day in ordinals if day % 7 + 1 in self.weekdays)


@dataclass(frozen=True, kw_only=True)
class Monthly(_Recurrence):
    """Fires at ``at`` on ``month_days`` of ``months``, and on their last day if ``last_day``.

    Both lists rise. A day that a month lacks is skipped, never moved to another.
    """

    months: tuple[int, ...]
    month_days: tuple[int, ...]
    last_day: bool

    def _dates_from(self, ordinal: int) -> Iterator[date]:
        start = date.fromordinal(ordinal)
        for year in range(start.year, YEAR_MAX + 1):
            for month in self.months:
                if (year, month) >= (start.year, start.month):
                    yield from (day for day in self._dates_in(year, month) if day >= start)

    def _dates_in(self, year: int, month: int) -> Iterator[date]:
        # A number that is also the last day comes twice here; one instant fires once.
        length = calendar.monthrange(year, month)[1]
        yield from (date(year, month, day) for day in self.month_days if day <= length)
        if self.last_day:
            yield date(year, month, length)


Schedule = Once | Daily | Weekly | Monthly


@lru_cache(maxsize=SCHEDULES_REMEMBERED_MAX)
def schedule_of(rule: Rule, *, anchor: date | None) -> Schedule:
    """What ``rule`` means; ``anchor`` is the date from which a daily rule counts, None if it has not begun.

    Fields that the cycle does not use are held to the same limits as those that it does.

    Raises:
        Invalid: names the field of ``rule`` that is missing or out of range, the unknown ``zone``, or the
            ``month_days`` that none of the months has.
    """
    _check_limits(rule)
    at, zone, expires_at = _required("at", rule.at), zone_of(rule.zone), rule.expires_at()
    # A time carries no fold when it is written; dropping it here keeps a repeated hour at its first.
    at = at.replace(fold=0)
    match rule.cycle:
        case Cycle.ONCE:
            return Once(at=at, zone=zone, expires_at=expires_at, on_date=_required("on_date", rule.on_date))
        case Cycle.DAILY:
            interval_days = _required("interval_days", rule.interval_days)
            return Daily(at=at, zone=zone, expires_at=expires_at, interval_days=interval_days, anchor=anchor)
        case Cycle.WEEKLY:
            weekdays = frozenset(_required("weekdays", rule.weekdays))
            return Weekly(at=at, zone=zone, expires_at=expires_at, weekdays=weekdays)
        case Cycle.MONTHLY:
            months, month_days, last_day = _month_dates(rule)
            return Monthly(
                at=at, zone=zone, expires_at=expires_at, months=months, month_days=month_days, last_day=last_day
            )


def upcoming(schedule: Schedule, after: datetime, count: int) -> list[datetime]:
    """The next ``count`` fires strictly after ``after``, rising; fewer where the schedule ends.

    A daily schedule without an anchor counts from the first of them.
    """
    if isinstance(schedule, Daily) and schedule.anchor is None:
        schedule = replace(schedule, anchor=schedule.date_after(after))
    fires: list[datetime] = []
    while len(fires) < count and (fire := schedule.next_after(fires[-1] if fires else after)):
        fires.append(fire)
    return fires


def _check_limits(rule: Rule) -> None:
    _within("interval_days", () if rule.interval_days is None else (rule.interval_days,), INTERVAL_DAYS_MAX)
    _within("weekdays", rule.weekdays or (), 7)
    _within("months", rule.months or (), 12)
    _within("month_days", _numbered(rule), 31, f", or {LAST_DAY} for the last")
    if rule.on_date is not None and not YEAR_MIN <= rule.on_date.year <= YEAR_MAX:
        raise Invalid("on_date", f"must be in the years {YEAR_MIN} to {YEAR_MAX}")
    if rule.at is not None and (rule.at.tzinfo is not None or rule.at.microsecond):
        raise Invalid("at", "must be a wall time in whole seconds such as 09:30:00")


def _within(field: str, values: Iterable[int], most: int, also: str = "") -> None:
    if not all(1 <= value <= most for value in values):
        raise Invalid(field, f"must be from 1 to {most}{also}")


def _numbered(rule: Rule) -> list[int]:
    return [day for day in rule.month_days or () if day != LAST_DAY]


def _required(field: str, value: _T | None) -> _T:
    if value is None or value == ():
        raise Invalid(field, "is required for this kind of cycle")
    return value


def _month_dates(rule: Rule) -> tuple[tuple[int, ...], tuple[int, ...], bool]:
    months = tuple(sorted(set(_required("months", rule.months))))
    last_day = LAST_DAY in _required("month_days", rule.month_days)
    month_days = tuple(sorted(set(_numbered(rule))))
    longest = max(calendar.monthrange(_LEAP_YEAR, month)[1] for month in months)
    if not last_day and month_days[0] > longest:
        raise Invalid("month_days", "must hold a day that one of the months has")
    return months, month_days, last_day


def _expiry(text: str) -> datetime:
    try:
        # The shape first: the library alone would also take weeks, bare dates and any separator.
        moment = datetime.fromisoformat(text) if _EXPIRES.fullmatch(text) else None
    except ValueError:
        moment = None
    if moment is None:
        raise Invalid("expires", "must be an instant such as 2030-01-31T18:00:00Z")
    if moment.year < YEAR_MIN:
        raise Invalid("expires", f"must not lie before the year {YEAR_MIN}")
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(moment, _END).astimezone(UTC)
