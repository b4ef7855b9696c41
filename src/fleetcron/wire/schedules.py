"""The schedule part of a task in the vendor's words: eight fields in, our Rule; and back.

Source: ScheduledTaskConfig of the vendor's OpenAPI (CreateScheduleTask); limits as published there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fleetcron.domain.schedule import LAST_DAY, Cycle, Rule
from fleetcron.domain.zone import zone_of
from fleetcron.errors import Invalid
from fleetcron.wire.fields import AnyCase

Text = Annotated[str, Meta(max_length=255)]


class ScheduledType(AnyCase):
    """The kind of cycle."""

    FIXED_TIME = "FIXED_TIME"
    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"


CYCLES: Final = {
    ScheduledType.FIXED_TIME: Cycle.ONCE,
    ScheduledType.DAY: Cycle.DAILY,
    ScheduledType.WEEK: Cycle.WEEKLY,
    ScheduledType.MONTH: Cycle.MONTHLY,
}
SCHEDULED_TYPES: Final = {cycle: said for said, cycle in CYCLES.items()}

# Our fields of a rule, and what the wire calls them.
NAMES: Final = {
    "cycle": "scheduled_type",
    "interval_days": "day_interval",
    "weekdays": "week_list",
    "months": "month_list",
    "month_days": "date_list",
    "zone": "time_zone",
    "on_date": "scheduled_date",
    "at": "scheduled_time",
    "expires": "expire_time",
}


class ScheduleFields(msgspec.Struct, frozen=True, kw_only=True):
    """ScheduledTaskConfig. A field that is absent or null is unsaid; an empty text clears on update."""

    scheduled_type: Annotated[ScheduledType, Meta(description="Kind of cycle.")] | UnsetType | None = UNSET
    day_interval: Annotated[int, Meta(ge=1, le=31, description="Every so many days; for DAY.")] | UnsetType | None = (
        UNSET
    )
    week_list: (
        Annotated[Text, Meta(description="Days 1 (Sunday) to 7 (Saturday), e.g. `1,3`; for WEEK.")] | UnsetType | None
    ) = UNSET
    month_list: Annotated[Text, Meta(description="Months 1 to 12, e.g. `1,7`; for MONTH.")] | UnsetType | None = UNSET
    date_list: (
        Annotated[Text, Meta(description="Days 1 to 31 and `L` for the last, e.g. `1,15,L`; for MONTH.")]
        | UnsetType
        | None
    ) = UNSET
    time_zone: Annotated[str, Meta(max_length=64, description="IANA name, `UTC` or `GMT+8`.")] | UnsetType | None = (
        UNSET
    )
    scheduled_date: Annotated[Text, Meta(description="`yyyy-MM-dd`; for FIXED_TIME.")] | UnsetType | None = UNSET
    scheduled_time: (
        Annotated[Text, Meta(description="`HH:mm:ss` on the clock of the time zone.")] | UnsetType | None
    ) = UNSET
    expire_time: (
        Annotated[Text, Meta(description="End of validity: ISO 8601; without a zone, UTC.")] | UnsetType | None
    ) = UNSET


def rule_changes(fields: ScheduleFields, *, default_zone: str) -> Mapping[str, object]:
    """What the fields say of a Rule: new values by its fields, None where an empty text clears.

    Raises:
        Invalid: a text cannot be read; names the wire's field.
    """
    said: dict[str, object] = {}
    for ours, theirs in NAMES.items():
        value = getattr(fields, theirs)
        if value is not UNSET and value is not None:
            said[ours] = None if value == "" else _READERS[ours](theirs, value)
    if "zone" in said:
        said["zone"] = said["zone"] or default_zone
    return said


def rule_of(fields: ScheduleFields, *, default_zone: str) -> Rule:
    """The Rule that the fields say.

    Raises:
        Invalid: the cycle is missing, or as in ``rule_changes``.
    """
    said = rule_changes(fields, default_zone=default_zone)
    if said.get("cycle") is None:
        raise Invalid(NAMES["cycle"], "is required")
    return msgspec.structs.replace(Rule(cycle=Cycle.ONCE, zone=default_zone), **said)


def say_rule(rule: Rule) -> dict[str, object]:
    """The rule's fields in the vendor's words, unset ones left out; lists and texts as they were given."""
    said = {
        NAMES["cycle"]: SCHEDULED_TYPES[rule.cycle],
        NAMES["interval_days"]: rule.interval_days,
        NAMES["weekdays"]: _say_list(rule.weekdays),
        NAMES["months"]: _say_list(rule.months),
        NAMES["month_days"]: _say_list(rule.month_days),
        NAMES["zone"]: rule.zone,
        NAMES["on_date"]: None if rule.on_date is None else rule.on_date.isoformat(),
        NAMES["at"]: None if rule.at is None else rule.at.isoformat(),
        NAMES["expires"]: rule.expires,
    }
    return {name: value for name, value in said.items() if value is not None}


def say_fire(instant: datetime, zone: str) -> str:
    """A fire as read off the zone's clock: ``2026-03-08 03:30:00 GMT-04:00``, and plain ``GMT`` in UTC.

    Source: acceptance tests of the vendor's Terraform provider; the pattern is Java's ``OOOO``.
    """
    local = instant.astimezone(zone_of(zone))
    offset = local.strftime("%z")
    place = "GMT" if not offset.strip("+-0") else f"GMT{offset[:3]}:{offset[3:5]}"
    return f"{local:%Y-%m-%d %H:%M:%S} {place}"


def say_moment(instant: datetime) -> str:
    """An instant in UTC with milliseconds and ``Z``."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def say_instant(instant: datetime | None) -> str | None:
    """The same of an instant that may not have come yet."""
    return None if instant is None else say_moment(instant)


def say_cron(rule: Rule, anchor: date | None) -> str | None:
    """The rule as a Quartz expression, which says the same but for zone, expiry and long intervals."""
    if rule.at is None:
        return None
    clock = f"{rule.at.second} {rule.at.minute} {rule.at.hour}"
    match rule.cycle:
        case Cycle.ONCE:
            day = rule.on_date
            return None if day is None else f"{clock} {day.day} {day.month} ? {day.year}"
        case Cycle.DAILY:
            return (
                f"{clock} {anchor.day if anchor else 1}/{rule.interval_days} * ?"
                if rule.interval_days != 1
                else f"{clock} * * ?"
            )
        case Cycle.WEEKLY:
            return f"{clock} ? * {_say_list(rule.weekdays)}"
        case Cycle.MONTHLY:
            return f"{clock} {_say_list(rule.month_days)} {_say_list(rule.months)} ?"


def _say_list(values: tuple[int | str, ...] | None) -> str | None:
    return None if values is None else ",".join(str(value) for value in values)


Value = TypeVar("Value")
_NUMBER = re.compile(r"[1-9][0-9]?")


def _list(most: int, *, last: bool = False) -> Callable[[str, str], tuple[int | Literal["L"], ...]]:
    allowed = f"must be numbers from 1 to {most}" + (f" or {LAST_DAY}" if last else "") + ", separated by commas"

    def read(name: str, text: str) -> tuple[int | Literal["L"], ...]:
        return tuple(one(name, part) for part in text.split(","))

    def one(name: str, part: str) -> int | Literal["L"]:
        if last and part.upper() == LAST_DAY:
            return LAST_DAY
        if not _NUMBER.fullmatch(part) or int(part) > most:
            raise Invalid(name, f"{allowed}; {part[:20]!r} is not")
        return int(part)

    return read


def _date(name: str, text: str) -> date:
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise Invalid(name, "must be a date as yyyy-MM-dd, such as 2030-01-31")


def _time(name: str, text: str) -> time:
    try:
        if re.fullmatch(r"[0-9]{2}:[0-9]{2}:[0-9]{2}", text):
            return time.fromisoformat(text)
    except ValueError:
        pass
    raise Invalid(name, "must be a time of day as HH:mm:ss, such as 09:30:00")


def _as_it_is(_name: str, value: Value) -> Value:
    return value


_READERS: Mapping[str, Callable[[str, Any], object]] = {
    "cycle": lambda _name, said: CYCLES[said],
    "interval_days": _as_it_is,
    "weekdays": _list(7),
    "months": _list(12),
    "month_days": _list(31, last=True),
    "zone": _as_it_is,
    "on_date": _date,
    "at": _time,
    "expires": _as_it_is,
}
