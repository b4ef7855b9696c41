"""Which seeds are run, how a broken one is told, and ``python -m simulation``-like runs of many on every core."""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from collections.abc import Iterable
from multiprocessing import Pool, cpu_count
from pathlib import Path

import msgspec

from simulation.journal import Story
from simulation.world import broken_in, run

SEEDS = 200
TOLD_MAX = 20
TRACE_LINES_MAX = 400
PROGRESS_SECONDS = 5.0

_REGRESSIONS = Path(__file__).parent / "regressions.txt"
_NAMES = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-8000-[0-9a-f]{12}|\bh\d+\b")


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one seed."""

    seed: int
    fires: int
    subtasks: int
    orders: int
    faults: dict[str, int]
    ends: dict[str, int]
    broken: list[str]
    told: str


def regressions() -> list[tuple[int, str]]:
    """The seeds that once told of something broken, each with what it was."""
    lines = _REGRESSIONS.read_text(encoding="utf-8").splitlines()
    split = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    return [(int(seed), reason) for seed, reason in split]


def tell(story: Story, broken: list[str]) -> str:
    """What is broken, how to see it again, and the part of the story that is about it."""
    names = set(_NAMES.findall("\n".join(broken)))
    about = [
        line for line in story.trace if not names or names.intersection(_NAMES.findall(line)) or _is_of_the_world(line)
    ]
    return "\n".join(
        [
            f"seed {story.seed} breaks the promises; again with: make simulate SEEDS={story.seed}..{story.seed}",
            *broken[:TOLD_MAX],
            f"what happened ({len(story.trace)} lines, those about it):",
            *about[-TRACE_LINES_MAX:],
        ]
    )


def span(text: str) -> range:
    """The seeds that are asked for: ``10000`` are the first so many, ``5..9`` are these five."""
    first, dots, last = text.partition("..")
    return range(int(first), int(last) + 1) if dots else range(int(first))


def try_one(seed: int) -> Outcome:
    """Run one seed; a world that breaks down is a broken one."""
    try:
        story = run(seed)
        broken = broken_in(story)
    except Exception as error:  # noqa: BLE001  (one seed must not end the run of all)
        story, broken = Story(seed=seed), [f"the world breaks down: {error!r}"]
    return Outcome(
        seed=seed,
        fires=len(story.executions),
        subtasks=len(story.subtasks),
        orders=len(story.orders),
        faults=dict(story.faults),
        ends=Counter(str(one.result_code or one.evidence) for one in story.subtasks),
        broken=broken,
        told=tell(story, broken) if broken else "",
    )


def main(text: str) -> int:
    """Run these seeds on every core; how many are broken, 1 at most."""
    asked = span(text)
    outcomes: list[Outcome] = []
    told_at = time.monotonic()
    with Pool(min(cpu_count(), len(asked))) as pool:
        for outcome in pool.imap_unordered(try_one, asked, chunksize=5):
            outcomes.append(outcome)
            if outcome.broken:
                print(outcome.told, flush=True)  # noqa: T201  (a command's answer)
            if time.monotonic() - told_at > PROGRESS_SECONDS:
                told_at = time.monotonic()
                print(f"{len(outcomes)} of {len(asked)} seeds", flush=True)  # noqa: T201  (the same)
    print(_summary(outcomes))  # noqa: T201  (the same)
    return min(1, sum(bool(outcome.broken) for outcome in outcomes))


def _summary(outcomes: list[Outcome]) -> str:
    broken = sorted(outcome.seed for outcome in outcomes if outcome.broken)
    return "\n".join(
        [
            (
                f"{len(outcomes)} seeds: {sum(one.fires for one in outcomes)} fires,"
                f" {sum(one.subtasks for one in outcomes)} subtasks, {sum(one.orders for one in outcomes)} orders"
            ),
            *_counted("accidents", (one.faults for one in outcomes)),
            *_counted("ends", (one.ends for one in outcomes)),
            f"broken: {broken[:TOLD_MAX] or 'none'}",
        ]
    )


def _counted(title: str, counts: Iterable[dict[str, int]]) -> list[str]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return [f"{title}:", *(f"  {count:7} {name}" for name, count in sorted(total.items()))]


def _is_of_the_world(line: str) -> bool:
    return " world: " in line


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else str(SEEDS)))
