"""The chaos run of many minutes: everything broken again and again, and what came of it.

It breaks things, so it is no part of measuring how quick something is: ``make chaos MINUTES=10`` runs it and keeps the
figures, ``make bench`` puts them into the report.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from chaos.faults import OF_WORKERS, every_kind
from chaos.story import Plan, Story, tell
from chaos.world import APIS, ENGINES, GROUP_SERVERS, GROUPS, STUCK_SERVERS, WORKERS, Pace

FIGURES = Path(__file__).parent / "figures" / "chaos.json"
SEED = 20261124
MINUTES = 10.0
SERVERS = GROUPS * GROUP_SERVERS + STUCK_SERVERS
FREEZE_SECONDS = (5.0, 20.0)
# More than fit into the time.
ROUNDS_PER_MINUTE = 1
FAULTS_PER_TEN_MINUTES = 20
SUBTASKS_PER_TEN_MINUTES = 5_000
TAKE_UP_SECONDS_MAX = 10.0


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What one run came to. ``taken_up_seconds`` are the median, the 99th percentile and the most."""

    date: str
    seed: int
    cores: int
    minutes: float
    faults: dict[str, int]
    accepted: int
    unsure: int
    executions: int
    subtasks: int
    orders: int
    ends: dict[str, int]
    strikes: int
    taken_up: int
    taken_up_seconds: tuple[float, float, float]
    wrong: dict[str, int]


def measure() -> str:
    """Report the run whose figures were kept last."""
    figures = msgspec.json.decode(FIGURES.read_bytes(), type=Figures)
    faults = "\n".join(f"| {kind} | {count} |" for kind, count in sorted(figures.faults.items()))
    ends = ", ".join(f"{count:,} {end}" for end, count in figures.ends.items())
    wrong = "\n".join(f"| {check} | {count} |" for check, count in figures.wrong.items())
    median, p99, most = figures.taken_up_seconds
    return f"""## Chaos for {figures.minutes:.0f} minutes

Written by `make chaos` on {figures.date}, seed {figures.seed}. All of it on {figures.cores} cores: PostgreSQL (every
commit on the disk), a cluster of three NATS nodes, {APIS} APIs, {ENGINES} engines and {WORKERS} workers of one site,
each a process as an operator starts it, and {SERVERS} simulated servers behind a socket, the same for all workers. Two
people operate on servers at once and make tasks that are due in a moment, through both APIs, while one fault after the
other happens, to whom the seed says; among the workers, to one that has just told a server something. What is frozen
stays so for {FREEZE_SECONDS[0]:.0f} to {FREEZE_SECONDS[1]:.0f} s; what is killed is started again after 1 to 3 s.

| fault | times |
|---|---|
{faults}
| **all** | **{sum(figures.faults.values())}** |

{figures.accepted:,} requests were accepted, and {figures.unsure} tries not answered: these may have been done or not.
{figures.executions:,} executions of **{figures.subtasks:,} subtasks** came of them, and {figures.orders:,} orders
reached servers. Ends: {ends}.

| found wrong in the end | times |
|---|---|
{wrong}

{figures.strikes} workers were killed or frozen with {figures.taken_up} subtasks under way. Until another worker looked
at the server or asked after the order, or the subtask ended, it took **{median:.1f} s** (median), {p99:.1f} s (99 %),
**{most:.1f} s** (the last one). The promise is {TAKE_UP_SECONDS_MAX:.0f} s.
"""


def main(arguments: list[str]) -> None:
    """Run for so many minutes with a seed, show what came of it, and keep the figures unless the run was short."""
    minutes = float(arguments[0]) if arguments else MINUTES
    seed = int(arguments[1]) if len(arguments) > 1 else SEED
    folder = Path(tempfile.mkdtemp(prefix="fleetcron-chaos-"))
    print(f"{minutes:g} minutes of chaos with seed {seed}; logs and journal in {folder}", flush=True)
    story = tell(_plan(minutes, seed), folder)
    print(story.summary())
    figures = _figures(story, minutes, seed)
    print(msgspec.json.format(msgspec.json.encode(figures)).decode())
    if minutes >= MINUTES:
        FIGURES.parent.mkdir(exist_ok=True)
        FIGURES.write_bytes(msgspec.json.format(msgspec.json.encode(figures)) + b"\n")
    _judge(figures)


def _plan(minutes: float, seed: int) -> Plan:
    return Plan(
        seed=seed,
        people=2,
        pause_seconds=2.0,
        pace=Pace(late=30, settle=45),
        kinds=every_kind(seed, rounds=int(minutes * ROUNDS_PER_MINUTE) + 1),
        freeze_seconds=FREEZE_SECONDS,
        quiet_seconds=(1.0, 5.0),
        seconds=minutes * 60,
    )


def _figures(story: Story, minutes: float, seed: int) -> Figures:
    seconds = story.taken_up_seconds
    return Figures(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        seed=seed,
        cores=len(os.sched_getaffinity(0)),
        minutes=minutes,
        faults={kind.value: count for kind, count in story.by_kind.items()},
        accepted=story.asked["accepted"],
        unsure=story.asked["unsure"],
        executions=story.executions,
        subtasks=story.subtasks,
        orders=story.orders,
        ends=dict(story.ends.most_common()),
        strikes=sum(one.fault.kind in OF_WORKERS for one in story.faults),
        taken_up=len(seconds),
        taken_up_seconds=(
            round(statistics.median(seconds), 2),
            round(seconds[int(0.99 * (len(seconds) - 1))], 2),
            round(seconds[-1], 2),
        ),
        wrong={check: len(found) for check, found in story.wrong.items()},
    )


def _judge(figures: Figures) -> None:
    """Say with the exit code whether the promises were held."""
    share = figures.minutes / MINUTES
    failed = [check for check, count in figures.wrong.items() if count]
    if figures.taken_up_seconds[2] > TAKE_UP_SECONDS_MAX:
        failed.append("taken up too late")
    if sum(figures.faults.values()) < FAULTS_PER_TEN_MINUTES * share:
        failed.append("too few faults")
    if figures.subtasks < SUBTASKS_PER_TEN_MINUTES * share:
        failed.append("too few subtasks")
    if failed:
        raise SystemExit(f"NOT held: {', '.join(failed)}")
    print("All promises were held.")


if __name__ == "__main__":
    main(sys.argv[1:])
