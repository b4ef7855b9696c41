"""One run: everything started, asked of, broken again and again, left in peace, and looked at."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from itertools import chain, takewhile
from pathlib import Path

import msgspec

from builders import eventually
from chaos import checker, tables
from chaos.faults import Befallen, Kind, befall, draw
from chaos.load import Asked, Client, Load
from chaos.world import Pace, World, world

QUIET_MARGIN_SECONDS = 30.0
FIRST_TOUCH_SECONDS_MAX = 60.0


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How a run is to be: ``people`` ask, each with a pause, while a fault of each of ``kinds`` happens.

    No further fault begins after ``seconds``.
    """

    seed: int
    people: int
    pause_seconds: float
    pace: Pace
    freeze_seconds: tuple[float, float]
    quiet_seconds: tuple[float, float]
    kinds: Sequence[Kind]
    seconds: float = float("inf")


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """What happened, and what is wrong with it: for each check what it found."""

    seconds: float
    asked: Counter[str]
    faults: list[Befallen]
    executions: int
    subtasks: int
    ends: Counter[str]
    orders: int
    taken_up: list[list[checker.TakenUp]]
    wrong: dict[str, list[str]]
    logs: dict[str, str]

    @property
    def by_kind(self) -> Counter[Kind]:
        """How many faults of each kind there were."""
        return Counter(one.fault.kind for one in self.faults)

    @property
    def taken_up_seconds(self) -> list[float]:
        """How long each subtask of a struck worker was left alone, shortest first."""
        return sorted(one.seconds for one in chain.from_iterable(self.taken_up))

    def summary(self) -> str:
        """What happened, for whoever watches."""
        lines = [
            f"{self.executions} executions, {self.subtasks} subtasks, {self.orders} orders in {self.seconds:.0f} s",
            f"asked: {dict(self.asked)}; ends: {dict(self.ends)}",
        ]
        lines += [f"{one.fault.kind}: {one.until - one.at:.1f} s" for one in self.faults]
        lines += [
            f"{len(left)} subtasks of a struck worker: taken up within {max(one.seconds for one in left):.1f} s"
            for left in self.taken_up
            if left
        ]
        lines += [f"WRONG, {check}: {one}" for check, found in self.wrong.items() for one in found]
        return "\n".join(lines)


def tell(plan: Plan, folder: Path) -> Story:
    """Run it."""
    began_at = time.monotonic()
    with world(folder, seed=plan.seed, pace=plan.pace) as made:
        asked, faults = _through_chaos(plan, made)
        left_seconds = plan.pace.late + plan.pace.settle + QUIET_MARGIN_SECONDS
        eventually(lambda: tables.is_quiet(made.database_url), seconds=left_seconds)
        kept = tables.read(made.database_url)
        client = Client([api.url for api in made.apis], random.Random(plan.seed))  # noqa: S311  (to be repeated)
        try:
            differences = tables.told(client, kept)
        finally:
            client.close()
        journal = list(made.fleet.journal)
        # For whoever has to find out why something is wrong.
        (folder / "journal.jsonl").write_bytes(msgspec.json.Encoder().encode_lines(journal))
        (folder / "kept.json").write_bytes(msgspec.json.encode(kept))
        ended = [process.name for process in made.processes if process.ended_by_itself()]
        codes = {process.name: process.stop() for process in made.processes}
        logs = {process.name: process.log() for process in made.processes}
    return Story(
        seconds=time.monotonic() - began_at,
        asked=Counter(
            accepted=len(asked.tasks) + len(asked.at_once),
            unsure=len(asked.unsure_tasks) + len(asked.unsure_at_once),
            refused=len(asked.refused),
        ),
        faults=faults,
        executions=len(kept.executions),
        subtasks=len(kept.subtasks),
        ends=Counter(str(one.result_code or one.status) for one in kept.subtasks),
        orders=sum(touch.verb == "submit" for touch in journal),
        taken_up=checker.taken_up(faults, journal, kept),
        wrong={
            "lost": list(checker.lost(asked, kept)),
            "unfinished": list(checker.unfinished(kept)),
            "miscounted": list(checker.miscounted(kept)),
            "blind resends": list(checker.blind_resends(journal)),
            "doubled": list(checker.doubled(journal)),
            "overlapping": list(checker.overlapping(kept)),
            "untimely": list(checker.untimely(journal, kept)),
            "false successes": list(checker.false_successes(journal, kept)),
            "told otherwise": differences,
            "ended by themselves": ended,
            "bad ends": [f"{name}: {code}" for name, code in codes.items() if code],
        },
        logs=logs,
    )


def _through_chaos(plan: Plan, made: World) -> tuple[Asked, list[Befallen]]:
    asked = Asked()
    urls = [api.url for api in made.apis]
    people = [
        Load(urls, seed=f"{plan.seed}-{number}", pause_seconds=plan.pause_seconds, asked=asked)
        for number in range(plan.people)
    ]
    for person in people:
        person.start()
    faults: list[Befallen] = []
    give_over_at = time.monotonic() + plan.seconds
    drawn = draw(plan.seed, kinds=plan.kinds, freeze_seconds=plan.freeze_seconds, quiet_seconds=plan.quiet_seconds)
    try:
        eventually(lambda: len(made.fleet.journal) > 0, seconds=FIRST_TOUCH_SECONDS_MAX)
        faults += befall(made, takewhile(lambda _: time.monotonic() < give_over_at, drawn))
    finally:
        for person in people:
            person.stop()
    return asked, faults
