"""The one place where subtasks end: the winner moves the counters, and the last one seals the execution."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

import msgspec

from fleetcron.dispatch.contract import Settled
from fleetcron.domain.execution import Execution, outcome
from fleetcron.store import executions, subtasks
from fleetcron.store.database import Transaction

log = logging.getLogger(__name__)

Say = Callable[[Execution], bytes]
"""Renders a finished execution as it is said on the wire; given by assembly, opaque here."""


def settle(tx: Transaction, settlements: Iterable[Settled], say: Say) -> list[Settled]:
    """End subtasks and return those settlements that won; one whose subtask had ended before changes nothing."""
    won: list[Settled] = []
    moved: list[tuple[str, bool, bool]] = []
    for end in settlements:
        was_running = subtasks.settle(
            tx,
            (end.execution_id, end.ordinal),
            ended_at=end.ended_at,
            evidence=end.evidence,
            result_code=end.result_code,
            result_message=end.result_message,
        )
        if was_running is not None:
            won.append(end)
            moved.append((end.execution_id, end.result_code is None, was_running))
    executions.count_ended(tx, moved)
    seal(tx, executions.read(tx, dict.fromkeys(end.execution_id for end in won)), say)
    return won


def seal(tx: Transaction, candidates: Iterable[Execution], say: Say) -> None:
    """End those executions of which no subtask is left, with counters counted once more from the subtasks."""
    sealed = [
        _counted(tx, execution) for execution in candidates if execution.succeeded + execution.failed == execution.total
    ]
    executions.seal(tx, [(execution, say(execution)) for execution in sealed])
    for execution in sealed:
        _publish(execution)


def _publish(execution: Execution) -> None:
    """Say how an execution ended and how late it was: recorded and begun so many seconds after its fire time."""
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


def _counted(tx: Transaction, execution: Execution) -> Execution:
    if execution.total == 0:
        return execution
    succeeded, failed, ended_at = subtasks.tally(tx, execution.execution_id)
    return msgspec.structs.replace(
        execution, succeeded=succeeded, failed=failed, running=0, status=outcome(failed), ended_at=ended_at
    )
