"""The checker finds what it is there to find: each test plants an error that our promises forbid, and waits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from fleetcron.dispatch.contract import Command, Event, Settled
from fleetcron.domain.execution import Evidence, Execution
from fleetcron.domain.task import Task
from fleetcron.drivers.contract import Observation
from fleetcron.engine import ledger
from fleetcron.engine.ledger import Entry, Say
from fleetcron.engine.scheduler import FIRES_PER_TRANSACTION_MAX, Scheduler
from fleetcron.engine.sweeper import Sweeper
from fleetcron.store import subtasks, tasks
from fleetcron.store.database import Transaction
from fleetcron.store.subtasks import Due
from fleetcron.worker.attempt import Attempt
from simulation.broker import WorkerLine
from simulation.faults import Kind, Mood
from simulation.world import Plant, broken_in, run

SEEDS_MAX = 60


def cries(law: str, plant: Plant | None = None, *, seeds: int = SEEDS_MAX) -> bool:
    """Whether one of the first seeds tells that this law is broken."""
    return any(said.startswith(law) for seed in range(seeds) for said in broken_in(run(seed, plant)))


def test_a_worker_that_does_not_wait_for_its_began_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = Attempt._begin
    saying: set[asyncio.Task[None]] = set()

    async def hasty(self: Attempt, seen: Observation) -> None:
        task = asyncio.create_task(begin(self, seen))
        saying.add(task)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.sleep(0)

    monkeypatch.setattr(Attempt, "_begin", hasty)
    assert cries("recorded before done")


def test_a_recorder_in_which_the_loser_moves_the_counters_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    enter = ledger.enter

    def generous(tx: Transaction, events: list[Event], say: Say, **law: Any) -> Entry:  # noqa: ANN401  (of every kind)
        entry = enter(tx, events, say, **law)
        for event, verdict in zip(events, entry.verdicts, strict=True):
            if isinstance(event, Settled) and verdict.over:
                tx.execute(
                    "UPDATE executions SET failed = failed + 1 WHERE execution_id = ? AND ended_at IS NULL"
                    " AND succeeded + failed + running < total",
                    (event.execution_id,),
                )
        return entry

    monkeypatch.setattr(ledger, "enter", generous)
    assert cries("the counters are the tally")


class StaleScheduler(Scheduler):
    """Fires what it saw due before, whatever has become of it since."""

    def _record(self, now: datetime) -> int:
        with self._database.snapshot() as tx:
            seen = tasks.due(tx, now, FIRES_PER_TRANSACTION_MAX)
        with self._database.transaction() as tx:
            now_there = {task.task_id: task.last_ordinal for task in tasks.read(tx, [task.task_id for task in seen])}
            self._fire(tx, [msgspec.structs.replace(task, last_ordinal=now_there[task.task_id]) for task in seen], now)
        return len(seen)


def test_schedulers_that_fire_from_a_stale_read_without_the_constraint_are_found() -> None:
    without = (("CONSTRAINT one_execution_per_fire UNIQUE (task_id, fire_at),", ""),)
    assert cries("one execution for a fire", Plant(scheduler=StaleScheduler, schema=without))


def test_schedulers_that_fire_from_a_stale_read_are_stopped_by_the_constraint() -> None:
    assert not cries("one execution for a fire", Plant(scheduler=StaleScheduler), seeds=20)


class TrustingLine(WorkerLine):
    """Never asks whether the command is still ours."""

    def is_ours(self, command: Command) -> bool:
        return True


# Workers that fall asleep in the middle of a deed, and nothing else.
DROWSY = Mood(kinds=(), dies=0.0, freezes=0.08, answer_lost=0.0, waits=0.05, lossy=False, troubled=True)


def test_a_worker_that_does_not_ask_whether_the_command_is_its_own_is_found() -> None:
    assert cries("only its owner tells a server", Plant(worker_line=TrustingLine, mood=DROWSY))


def test_a_worker_that_asks_tells_only_what_is_its_own() -> None:
    assert not cries("only its owner tells a server", Plant(mood=DROWSY), seeds=20)


def test_a_second_live_action_on_a_server_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = subtasks.waiting

    def careless(*arguments: object, **more: object) -> list[Due]:
        found: Iterable[Due] = waiting(*arguments, **more)  # type: ignore[arg-type]
        return [msgspec.structs.replace(due, contended=False) for due in found]

    monkeypatch.setattr(subtasks, "waiting", careless)
    loose = (("PRIMARY KEY (endpoint, handle),", "PRIMARY KEY (endpoint, handle, execution_id, ordinal),"),)
    assert cries("one live action for a server", Plant(schema=loose))


def test_an_engine_that_does_not_sweep_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sweeper, "tick", lambda self, now: 0)
    assert cries("what is unfinished is taken up")


class ForgetfulScheduler(Scheduler):
    """Goes on with the next fire from now, whatever was due in between."""

    def _fire(self, tx: Transaction, due: Sequence[Task], now: datetime) -> list[Execution]:
        sealed = super()._fire(tx, due, now)
        moved = {task.task_id: task for task in tasks.read(tx, [task.task_id for task in due])}
        tasks.advance(tx, [(task, moved[task.task_id].last_ordinal, task.schedule().next_after(now)) for task in due])
        return sealed


def test_a_scheduler_that_forgets_fires_that_were_missed_is_found() -> None:
    assert cries("every fire is answered for", Plant(scheduler=ForgetfulScheduler))


def test_a_success_that_was_none_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hopeful(self: Attempt, reason: str) -> Evidence:
        return Evidence.ACCEPTED

    monkeypatch.setattr(Attempt, "_resolve_doubt", hopeful)
    assert cries("a success is one")


def test_a_worker_that_resends_without_looking_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def impatient(self: Attempt, reason: str) -> Evidence:
        seen = await self._endpoint.observe(self._command.handle)
        await self._begin(seen)
        return await self._send()

    monkeypatch.setattr(Attempt, "_resolve_doubt", impatient)
    assert cries("no blind resend")


# Servers that refuse, and do not answer, until it is too late.
SLOW = Mood(
    kinds=(Kind.SERVER_AWAY, Kind.ENGINE_KILLED),
    dies=0.0,
    freezes=0.0,
    answer_lost=0.0,
    waits=0.05,
    lossy=True,
    troubled=True,
)


@pytest.fixture
def _timeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers not mind the time."""
    first_look = Attempt._first_look

    async def timeless(self: Attempt) -> Observation:
        self._send_until += timedelta(days=1)
        await self._sleep(70)
        return await first_look(self)

    monkeypatch.setattr(Attempt, "_first_look", timeless)


@pytest.mark.usefixtures("_timeless")
def test_a_worker_and_an_engine_that_do_not_mind_the_time_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "_closed", lambda *_: None)
    assert cries("no start after its limit", Plant(mood=SLOW))


@pytest.mark.usefixtures("_timeless")
def test_a_worker_that_does_not_mind_the_time_is_stopped_by_the_engine() -> None:
    assert not cries("no start after its limit", Plant(mood=SLOW), seeds=20)
