"""When, in everyday words: options such as ``--weekly mon,fri --at 03:30``, and what the wire calls them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import typer

from fleetcron.cli.exits import Misuse
from fleetcron.domain.schedule import LAST_DAY, Cycle
from fleetcron.wire.schedules import NAMES, SCHEDULED_TYPES

WEEKDAYS: Final = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
MONTHS: Final = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
MONTH_DAYS_MAX = 31


@dataclass(frozen=True, kw_only=True)
class When:
    """The options that say when; what is None or False was not said."""

    daily: Annotated[bool, typer.Option("--daily", help="Every day, or every so many with --every.")] = False
    every: Annotated[int | None, typer.Option(min=1, max=31, metavar="DAYS", help="With --daily.")] = None
    weekly: Annotated[str | None, typer.Option(metavar="DAYS", help="On weekdays: mon,fri or mon-fri.")] = None
    monthly: Annotated[
        str | None,
        typer.Option(metavar="DAYS", help="On days of the month: 1,15,L (L is the last)."),
    ] = None
    months: Annotated[
        str | None,
        typer.Option(metavar="MONTHS", help="With --monthly: 1-12 (the default) or jan,jul."),
    ] = None
    once: Annotated[str | None, typer.Option(metavar="DATE", help="On one date: 2030-01-31.")] = None
    at: Annotated[str | None, typer.Option(metavar="HH:MM[:SS]", help="The hour.")] = None
    zone: Annotated[
        str | None,
        typer.Option(help="Whose clock: Europe/Berlin. By default the service's."),
    ] = None
    expires: Annotated[
        str | None,
        typer.Option(metavar="INSTANT", help="Not after: 2030-12-31T00:00:00Z."),
    ] = None

    def demand(self) -> None:
        """See that a whole schedule is said.

        Raises:
            Misuse: no cycle or no hour, or an option without the one that it goes with.
        """
        if self._cycle() is None:
            raise Misuse("say when: --daily, --weekly, --monthly or --once")
        if self.at is None:
            raise Misuse("say at what hour: --at 03:30")
        if self.every is not None and not self.daily:
            raise Misuse("--every goes with --daily")
        if self.months is not None and self.monthly is None:
            raise Misuse("--months goes with --monthly")

    def fields(self) -> dict[str, object]:
        """What is said, by the wire's names; a cycle brings its own defaults (every day, every month).

        Raises:
            Misuse: a text cannot be read, or two cycles are said.
        """
        cycle = self._cycle()
        said = {
            "cycle": None if cycle is None else SCHEDULED_TYPES[cycle].value,
            "interval_days": self.every or (1 if self.daily else None),
            "weekdays": _read(self.weekly, weekdays),
            "months": _read(self.months or ("1-12" if self.monthly else None), months),
            "month_days": _read(self.monthly, month_days),
            "zone": self.zone,
            "on_date": self.once,
            "at": None if self.at is None else clock(self.at),
            "expires": self.expires,
        }
        return {NAMES[name]: value for name, value in said.items() if value is not None}

    def _cycle(self) -> Cycle | None:
        said = {
            Cycle.DAILY: self.daily,
            Cycle.WEEKLY: self.weekly is not None,
            Cycle.MONTHLY: self.monthly is not None,
            Cycle.ONCE: self.once is not None,
        }
        cycles = [cycle for cycle, is_said in said.items() if is_said]
        if len(cycles) > 1:
            raise Misuse("say one of --daily, --weekly, --monthly and --once")
        return cycles[0] if cycles else None


def weekdays(text: str) -> str:
    """Weekdays by name, three letters suffice, as the wire's numbers: ``mon,fri`` is ``2,6``, ``sat-mon`` ``7,1,2``.

    Raises:
        Misuse: something else; numbers too, for people count weekdays from different days.
    """
    return _numbers("--weekly", text, lambda part: _named(part, WEEKDAYS), len(WEEKDAYS))


def months(text: str) -> str:
    """Months by number or name as the wire's numbers: ``1-3,dec`` is ``1,2,3,12``.

    Raises:
        Misuse: something else.
    """
    return _numbers("--months", text, lambda part: _counted(part, len(MONTHS)) or _named(part, MONTHS), len(MONTHS))


def month_days(text: str) -> str:
    """Days of the month as the wire has them: ``1,10-12,L`` is ``1,10,11,12,L``.

    Raises:
        Misuse: something else.
    """
    parts = [part.strip() for part in text.split(",")]
    return ",".join(
        LAST_DAY
        if part.upper() in {LAST_DAY, "LAST"}
        else _numbers("--monthly", part, lambda one: _counted(one, MONTH_DAYS_MAX), MONTH_DAYS_MAX)
        for part in parts
    )


def clock(text: str) -> str:
    """An hour with its seconds: ``3:30`` is ``03:30:00``. What is no hour is left for the service to refuse."""
    parts = re.fullmatch(r"(\d{1,2}):(\d{2})(?::(\d{2}))?", text.strip())
    return f"{int(parts[1]):02}:{parts[2]}:{parts[3] or '00'}" if parts else text


def _read(text: str | None, reader: Callable[[str], str]) -> str | None:
    """Read what was said; an empty text stays one, for it clears."""
    return reader(text) if text else text


def _numbers(option: str, text: str, read: Callable[[str], int | None], most: int) -> str:
    """Numbers out of parts and ranges of parts; a range may go over the end and begin again."""
    numbers: list[int] = []
    for part in text.split(","):
        ends = [read(end.strip()) for end in part.split("-")]
        if None in ends or len(ends) > _ENDS:
            raise Misuse(f"{option}: {part!r} is not understood")
        first, last = ends[0] or 0, ends[-1] or 0
        numbers += [(first + step - 1) % most + 1 for step in range((last - first) % most + 1)]
    return ",".join(str(number) for number in dict.fromkeys(numbers))


_ENDS: Final = 2
_LETTERS_MIN: Final = 3


def _named(text: str, names: Sequence[str]) -> int | None:
    """The number of the name that begins so, counted from 1."""
    if len(text) < _LETTERS_MIN:
        return None
    return next((number for number, name in enumerate(names, 1) if name.startswith(text.lower())), None)


def _counted(text: str, most: int) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and 1 <= int(text) <= most else None
