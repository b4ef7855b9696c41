"""When, in everyday words: options such as ``--weekly mon,fri --at 03:30``, and what the wire calls them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import typer

from fleetcron.domain.schedule import LAST_DAY, Cycle
from fleetcron.wire.schedules import NAMES, SCHEDULED_TYPES

WEEKDAYS: Final = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
MONTHS: Final = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
MONTH_DAYS_MAX = 31
_PANEL: Final = "When"


@dataclass(frozen=True, kw_only=True)
class When:
    """The options that say when; what is None or False was not said."""

    daily: Annotated[
        bool, typer.Option("--daily", help="Every day, or every so many with --every.", rich_help_panel=_PANEL)
    ] = False
    every: Annotated[
        int | None, typer.Option(min=1, max=31, metavar="DAYS", help="With --daily.", rich_help_panel=_PANEL)
    ] = None
    weekly: Annotated[
        str | None, typer.Option(metavar="DAYS", help="On weekdays: mon,fri or mon-fri.", rich_help_panel=_PANEL)
    ] = None
    monthly: Annotated[
        str | None,
        typer.Option(metavar="DAYS", help="On days of the month: 1,15,L (L is the last).", rich_help_panel=_PANEL),
    ] = None
    months: Annotated[
        str | None,
        typer.Option(metavar="MONTHS", help="With --monthly: 1-12 (the default) or jan,jul.", rich_help_panel=_PANEL),
    ] = None
    once: Annotated[
        str | None, typer.Option(metavar="DATE", help="On one date: 2030-01-31.", rich_help_panel=_PANEL)
    ] = None
    at: Annotated[str | None, typer.Option(metavar="HH:MM[:SS]", help="The hour.", rich_help_panel=_PANEL)] = None
    zone: Annotated[
        str | None,
        typer.Option(help="Whose clock: Europe/Berlin. By default the service's.", rich_help_panel=_PANEL),
    ] = None
    expires: Annotated[
        str | None,
        typer.Option(metavar="INSTANT", help="Not after: 2030-12-31T00:00:00Z.", rich_help_panel=_PANEL),
    ] = None

    def demand(self) -> None:
        """See that a whole schedule is said.

        Raises:
            typer.BadParameter: no cycle or no hour, or an option without the one that it goes with.
        """
        if self._cycle() is None:
            raise typer.BadParameter("say when: --daily, --weekly, --monthly or --once")
        if self.at is None:
            raise typer.BadParameter("say at what hour: --at 03:30")
        if self.every is not None and not self.daily:
            raise typer.BadParameter("--every goes with --daily")
        if self.months is not None and self.monthly is None:
            raise typer.BadParameter("--months goes with --monthly")

    def fields(self) -> dict[str, object]:
        """What is said, by the wire's names; a cycle brings its own defaults (every day, every month).

        Raises:
            typer.BadParameter: a text cannot be read, or two cycles are said.
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
            raise typer.BadParameter("say one of --daily, --weekly, --monthly and --once")
        return cycles[0] if cycles else None
