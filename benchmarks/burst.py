"""How long until all of many tasks that are due in the same second have begun."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.stage import PROJECT_ID, folder, founded, serving, spread
from fleetcron.assembly.clock import new_id, now
from fleetcron.domain.schedule import Cycle, Rule
from fleetcron.domain.task import Draft, Target, TargetKind, TaskType, create
from fleetcron.store import tasks
from fleetcron.store.database import Database
from fleetcron.store.sqlite import FILE_NAME

TASKS = 10_000
LEAD_SECONDS = 12
SETTLE_SECONDS_MAX = 120
LOOK_SECONDS = 0.02
FLEET = """
[[endpoints]]
name = "burst"
driver = "simulated"
concurrency_max = 20000
[endpoints.settings]
volatile = true
boot_seconds = [3, 6]
stop_seconds = [1, 2]
[[servers]]
count = {count}
id = "s{{n}}"
endpoint = "burst"
"""


Ask = Callable[[str], list[Any]]
"""Asks the database; the rows."""


class Burst(msgspec.Struct, frozen=True, kw_only=True):
    """When the begins of one burst were seen committed, in seconds after the fire time."""

    median: float
    p99: float
    last: float
    executions: int


def measure(repeats: int = 3) -> str:
    """Measure and report."""
    bursts = [_once() for _ in range(repeats)]
    rows = "\n".join(
        f"| {number} | {one.executions:,} | {one.median:.2f} | {one.p99:.2f} | {one.last:.2f} |"
        for number, one in enumerate(bursts, start=1)
    )
    return f"""## {TASKS:,} tasks due in the same second

Each task restarts one server of its own (simulated, nothing kept on disk by the driver). A second process reads the
database every {LOOK_SECONDS * 1000:.0f} ms and counts the begins that are committed; seconds are after the fire time.

| run | executions | half begun | 99 % begun | all begun |
|---|---|---|---|---|
{rows}

99 % begun after **{spread([one.p99 for one in bursts], 2)} s**; the promise is 2 s. Every task fired exactly once.
"""


def _once() -> Burst:
    with folder() as data_dir:
        fleet = data_dir / "fleet.toml"
        fleet.write_text(FLEET.format(count=TASKS))
        with founded(data_dir) as database:
            fire_at = due_together(database)
        with serving(data_dir, fleet, pinned=False), reading(data_dir / FILE_NAME) as ask:
            return watch(ask, fire_at)


@contextmanager
def reading(path: Path) -> Iterator[Ask]:
    """Ask the file of a service that runs."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as reader:
        yield lambda sql: reader.execute(sql).fetchall()


def due_together(database: Database) -> datetime:
    """Make a task for each server, all due at the same moment; when."""
    fire_at = (now() + timedelta(seconds=LEAD_SECONDS)).replace(microsecond=0)
    rule = Rule(cycle=Cycle.ONCE, zone="UTC", on_date=fire_at.date(), at=fire_at.time())
    with database.transaction() as tx:
        for number in range(1, TASKS + 1):
            draft = Draft(
                name=f"burst-{number}",
                task_type=TaskType.RESTART_SERVER,
                rule=rule,
                targets=(Target(kind=TargetKind.SERVER, target_id=f"s{number}"),),
            )
            tasks.insert(tx, create(draft, task_id=new_id(), project_id=PROJECT_ID, now=now()))
    return fire_at


def watch(ask: Ask, fire_at: datetime) -> Burst:
    """See all of them begin, and end well."""
    seen = _watch_begins(ask, fire_at)
    executions = _wait_for_the_end(ask)
    assert executions == TASKS, f"{executions} executions of {TASKS} tasks"
    return Burst(median=_reached(seen, 0.5), p99=_reached(seen, 0.99), last=_reached(seen, 1.0), executions=executions)


def _watch_begins(ask: Ask, fire_at: datetime) -> list[tuple[float, int]]:
    """(seconds after the fire time, begins committed) until all are."""
    seen: list[tuple[float, int]] = []
    while not seen or seen[-1][1] < TASKS:
        after = (datetime.now(UTC) - fire_at).total_seconds()
        ((begun,),) = ask("SELECT count(*) FROM executions WHERE began_at IS NOT NULL")
        seen.append((after, begun))
        assert after < SETTLE_SECONDS_MAX, f"only {begun} begun"
        time.sleep(max(LOOK_SECONDS, -after - 0.5))
    return seen


def _wait_for_the_end(ask: Ask) -> int:
    """How many executions there are when all have ended."""
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while time.monotonic() < deadline:
        ((count, ended, succeeded),) = ask(
            "SELECT count(*), count(ended_at), count(*) FILTER (WHERE status = 'SUCCESS') FROM executions"
        )
        if count == ended:
            assert succeeded == count, f"{count - succeeded} failed"
            return int(count)
        time.sleep(0.2)
    raise AssertionError("not all executions ended")


def _reached(seen: list[tuple[float, int]], share: float) -> float:
    return next(after for after, begun in seen if begun >= share * TASKS)
