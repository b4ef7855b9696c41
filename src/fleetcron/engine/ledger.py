"""The one place where subtasks move: events are entered, the counters follow, and the last end seals the execution."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from fleetcron.dispatch.contract import Began, EngineEnd, Event, Settled, Verdict
from fleetcron.domain.execution import Execution, Reference, Status, Subtask, outcome
from fleetcron.engine.steps import CANCELLED, FOREIGN, OVER, TOO_LATE, step
from fleetcron.store import executions, subtasks
from fleetcron.store.database import Database, Transaction

log = logging.getLogger(__name__)

Say = Callable[[Execution], bytes]
"""Renders a finished execution as it is said on the wire; given by assembly, opaque here."""

SpeaksFor = Callable[[Event, str], bool]
"""Whether whoever reported an event is at the site of the endpoint of this name."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What entering events came to: the answer to each, in their order, and the executions that ended by it."""

    verdicts: list[Verdict]
    sealed: list[Execution]

    @property
    def accepted_count(self) -> int:
        """How many of the events hold."""
        return sum(verdict.refused is None for verdict in self.verdicts)


def enter(
    tx: Transaction,
    events: Sequence[Event],
    say: Say,
    *,
    now: datetime | None = None,
    speaks_for: SpeaksFor | None = None,
) -> Entry:
    """Enter events in their order, by the law of ``steps``; what was sealed is to be published after the commit.

    With workers' events ``now`` and ``speaks_for`` are given: nothing begins when that is too late by our clock, and
    nobody speaks of another site's servers.
    """
    before = subtasks.to_change(tx, [(event.execution_id, event.ordinal) for event in events])
    verdicts, moved = _stepped(before, events, {}, speaks_for)
    touched = {now.execution_id for was, now in moved if was.status is not now.status}
    affected = executions.to_change(tx, touched) if touched else []
    # Whoever cancels writes to the execution, which is ours alone by now: a cancel is seen here, or comes after us.
    closed = {one.execution_id: verdict for one in affected if (verdict := _closed(one, now)) is not None}
    if closed:
        verdicts, moved = _stepped(before, events, closed, speaks_for)
    subtasks.write(tx, [now for _, now in moved])
    return Entry(verdicts=verdicts, sealed=_count(tx, affected, moved, say))


def end(database: Database, line: EngineEnd, ends: Sequence[Settled], say: Say) -> int:
    """End subtasks by the engine's own word, in a transaction of its own, and take their commands back; how many."""
    with database.transaction() as tx:
        entry = enter(tx, ends, say)
    # Whoever still holds one of them learns it from the answer to its next event.
    line.withdraw(references(ends, entry))
    publish(entry.sealed)
    return entry.accepted_count


def seal(tx: Transaction, candidates: Iterable[Execution], say: Say) -> list[Execution]:
    """End those executions of which no subtask is left, with counters counted once more from the subtasks."""
    over = [execution for execution in candidates if execution.succeeded + execution.failed == execution.total]
    if not over:
        return []
    tallies = subtasks.tally(tx, [execution.execution_id for execution in over if execution.total])
    sealed = [_ended(execution, tallies.get(execution.execution_id)) for execution in over]
    executions.seal(tx, [(execution, say(execution)) for execution in sealed])
    return sealed


def publish(sealed: Iterable[Execution]) -> None:
    """Say how executions ended and how late they were: recorded and begun so many seconds after their fire time.

    To be called when it is committed.
    """
    for execution in sealed:
        began_at = execution.began_at
        log.info(
            "execution %s of task %s: %s, %d of %d succeeded, recorded after %.3f s, first begun after: %s",
            execution.execution_id,
            execution.task_id,
            execution.status,
            execution.succeeded,
            execution.total,
            (execution.created_at - execution.fire_at).total_seconds(),
            "none did" if began_at is None else f"{(began_at - execution.fire_at).total_seconds():.3f} s",
        )


Move = tuple[Subtask, Subtask]
"""A subtask as it was and as it is now."""


def _closed(execution: Execution, now: datetime | None) -> Verdict | None:
    """Why no subtask of it may begin any more, None if it may."""
    if execution.cancelled_at:
        return CANCELLED
    return TOO_LATE if now is not None and now > execution.start_until else None


def _stepped(
    before: Mapping[Reference, Subtask],
    events: Iterable[Event],
    closed: Mapping[str, Verdict],
    speaks_for: SpeaksFor | None,
) -> tuple[list[Verdict], list[Move]]:
    """What the events make of the subtasks: the answers, and what moved. Of executions that are ``closed`` none begins.

    Of a subtask that is over, another site's worker is told so too: the endpoint may have been its site's before, and
    it has to let go of the command.
    """
    after = dict(before)
    verdicts = []
    for event in events:
        reference = event.execution_id, event.ordinal
        subtask = after.get(reference)
        if subtask is None:
            verdicts.append(OVER)
        elif speaks_for is not None and subtask.ended_at is None and not _is_of(subtask, event, speaks_for):
            verdicts.append(FOREIGN)
        elif event.execution_id in closed and isinstance(event, Began) and subtask.status is Status.WAITING:
            # The canceller or the sweeper ends it; until they come to that, nothing begins.
            verdicts.append(closed[event.execution_id])
        else:
            after[reference], verdict = step(subtask, event)
            verdicts.append(verdict)
    return verdicts, [(before[reference], now) for reference, now in after.items() if now is not before[reference]]


def _is_of(subtask: Subtask, event: Event, speaks_for: SpeaksFor) -> bool:
    return subtask.endpoint is not None and speaks_for(event, subtask.endpoint)


def _count(tx: Transaction, affected: Sequence[Execution], moved: Iterable[Move], say: Say) -> list[Execution]:
    """Move the counters by what moved; of several recorders, the one that makes them reach the total seals."""
    moves: dict[str, list[Move]] = {}
    for was, now in moved:
        if was.status is not now.status:
            moves.setdefault(now.execution_id, []).append((was, now))
    changed = [_counted(one, moves[one.execution_id]) for one in affected if one.execution_id in moves]
    if not changed:
        return []
    executions.count(tx, [one for one in changed if one.succeeded + one.failed < one.total])
    return seal(tx, changed, say)


def _counted(execution: Execution, moves: Iterable[Move]) -> Execution:
    succeeded = failed = running = 0
    begun: list[datetime] = []
    for was, now in moves:
        succeeded += now.status is Status.SUCCESS
        failed += now.status is Status.FAILED
        running += (now.status is Status.RUNNING) - (was.status is Status.RUNNING)
        if now.began_at is not None and was.began_at is None:
            begun.append(now.began_at)
    return msgspec.structs.replace(
        execution,
        status=Status.RUNNING if begun else execution.status,
        succeeded=execution.succeeded + succeeded,
        failed=execution.failed + failed,
        running=execution.running + running,
        began_at=execution.began_at or min(begun, default=None),
    )


def _ended(execution: Execution, tally: tuple[int, int, datetime] | None) -> Execution:
    if tally is None:
        return execution
    succeeded, failed, ended_at = tally
    return msgspec.structs.replace(
        execution, succeeded=succeeded, failed=failed, running=0, status=outcome(failed), ended_at=ended_at
    )


def references(events: Iterable[Event], entry: Entry) -> list[Reference]:
    """Which subtasks the accepted ones of these events are about."""
    return [
        (event.execution_id, event.ordinal)
        for event, verdict in zip(events, entry.verdicts, strict=True)
        if verdict.refused is None
    ]
