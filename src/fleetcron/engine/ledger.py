"""The one place where subtasks move: events are entered, the counters follow, and the last end seals the execution."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime

import msgspec

from fleetcron.dispatch.contract import Began, Event, Reference, Verdict
from fleetcron.domain.execution import Execution, Status, Subtask, outcome
from fleetcron.engine.steps import CANCELLED, OVER, step
from fleetcron.store import executions, subtasks
from fleetcron.store.database import Transaction

log = logging.getLogger(__name__)

Say = Callable[[Execution], bytes]
"""Renders a finished execution as it is said on the wire; given by assembly, opaque here."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What entering events came to: the answer to each, in their order, and the executions that ended by it."""

    verdicts: list[Verdict]
    sealed: list[Execution]

    @property
    def accepted_count(self) -> int:
        """How many of the events hold."""
        return sum(verdict.refused is None for verdict in self.verdicts)


def enter(tx: Transaction, events: Sequence[Event], say: Say) -> Entry:
    """Enter events in their order, by the law of ``steps``; what was sealed is to be published after the commit."""
    before = subtasks.to_change(tx, [(event.execution_id, event.ordinal) for event in events])
    verdicts, moved = _stepped(before, events, frozenset())
    touched = {now.execution_id for was, now in moved if was.status is not now.status}
    affected = executions.to_change(tx, touched) if touched else []
    # Whoever cancels writes to the execution, which is ours alone by now: a cancel is seen here, or comes after us.
    cancelled = frozenset(execution.execution_id for execution in affected if execution.cancelled_at)
    if cancelled:
        verdicts, moved = _stepped(before, events, cancelled)
    subtasks.write(tx, [now for _, now in moved])
    return Entry(verdicts=verdicts, sealed=_count(tx, affected, moved, say))


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


def _stepped(
    before: Mapping[Reference, Subtask], events: Iterable[Event], cancelled: AbstractSet[str]
) -> tuple[list[Verdict], list[Move]]:
    """What the events make of the subtasks: the answers, and what moved. Of what is ``cancelled`` nothing begins."""
    after = dict(before)
    verdicts = []
    for event in events:
        reference = event.execution_id, event.ordinal
        subtask = after.get(reference)
        if subtask is None:
            verdicts.append(OVER)
        elif event.execution_id in cancelled and isinstance(event, Began) and subtask.status is Status.WAITING:
            # The canceller ends it; until it comes to that, nothing begins.
            verdicts.append(CANCELLED)
        else:
            after[reference], verdict = step(subtask, event)
            verdicts.append(verdict)
    return verdicts, [(before[reference], now) for reference, now in after.items() if now is not before[reference]]


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


def _counted(execution: Execution, moves: Sequence[tuple[Subtask, Subtask]]) -> Execution:
    left = [before.status for before, _ in moves]
    reached = [now.status for _, now in moves]
    begun: list[datetime] = [now.began_at for before, now in moves if now.began_at and not before.began_at]
    return msgspec.structs.replace(
        execution,
        status=Status.RUNNING if begun else execution.status,
        succeeded=execution.succeeded + reached.count(Status.SUCCESS),
        failed=execution.failed + reached.count(Status.FAILED),
        running=execution.running + reached.count(Status.RUNNING) - left.count(Status.RUNNING),
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
