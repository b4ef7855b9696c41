"""What must hold of every story: the house's promises, held against what reached the servers and what was written down.

Each law gives the sentences that say how it is broken; a good story gives none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise

from fleetcron.domain.execution import Execution, Reference, ResultCode, Status, Subtask
from fleetcron.domain.fleet import Power
from fleetcron.domain.schedule import schedule_of
from fleetcron.domain.task import Task, TaskType
from fleetcron.wire.executions import record_of
from simulation.broker import ACK_WAIT_SECONDS
from simulation.journal import Order, Story, Version

ENDS = {Status.SUCCESS, Status.FAILED}
ONLY_ONCE = {TaskType.RESTART_SERVER, TaskType.REINSTALL_OS}


def check(story: Story, *, notice_seconds: float, limits: dict[str, int]) -> list[str]:
    """Every way in which the story breaks the promises, said with its law."""
    broken = [f"nothing unforeseen happens: {what}" for what in dict.fromkeys(story.broken)]
    laws: list[Callable[[], Iterator[str]]] = [
        lambda: _fires(story),
        lambda: _ends(story),
        lambda: _counters(story),
        lambda: _recorded_before_done(story),
        lambda: _told_by_its_owner(story),
        lambda: _one_live_action(story),
        lambda: _in_time(story, timedelta(seconds=notice_seconds)),
        lambda: _no_blind_resend(story),
        lambda: _true_success(story),
        lambda: _cancelled(story),
        lambda: _limits(story, limits),
        lambda: _taken_up(story),
    ]
    for law in laws:
        broken.extend(law())
    return broken


# Promise 2: at most one execution for a fire, and exactly one for every fire that was due.


def _fires(story: Story) -> Iterator[str]:
    by_task: dict[str, list[Execution]] = {}
    for execution in story.executions:
        by_task.setdefault(execution.task_id, []).append(execution)
    for task in story.tasks:
        fired = by_task.get(task.task_id, [])
        ordinals = sorted(execution.ordinal for execution in fired)
        if ordinals != list(range(1, task.last_ordinal + 1)):
            yield f"ordinals are dense: {task.task_id} has {ordinals} and says {task.last_ordinal}"
        fires = [execution.fire_at for execution in fired]
        if len(set(fires)) < len(fires):
            yield f"one execution for a fire: {task.task_id} has {sorted(map(str, fires))}"
        if task.deleted_at != task.created_at:
            yield from _schedule(story, task, set(fires))


def _schedule(story: Story, task: Task, fires: set[datetime]) -> Iterator[str]:
    versions = [version for version in story.versions if version.task_id == task.task_id]
    due = {fire for version in versions for fire in _due(story, version)}
    # What a switch found due and not recorded it has dropped, also where an earlier edit had kept it.
    due -= {version.next_fire_at for version in versions if version.dropped and version.next_fire_at is not None}
    for fire in sorted(due - fires):
        yield f"every fire is answered for: {task.task_id} has no execution for {fire}"
    for fire in sorted(fires - due):
        if not any(_is_of(version, fire) for version in versions):
            yield f"only what was asked for fires: {task.task_id} fired at {fire}"


def _due(story: Story, version: Version) -> Iterator[datetime]:
    """The fires of a version that have to be there."""
    until = version.until or story.engine_clock
    kept = version.next_fire_at
    if version.until is not None and (kept is None or kept <= version.until):
        # What was due and not recorded when the version ended: an edit keeps the oldest, a switch drops all.
        until = version.since if kept is None else kept - timedelta(seconds=1 if version.dropped else 0)
    if until is None:
        return
    schedule = version.task.schedule()
    fire = schedule.next_after(version.since)
    while fire is not None and fire <= until:
        yield fire
        fire = schedule.next_after(fire)


def _is_of(version: Version, fire: datetime) -> bool:
    """Whether a fire is one of a version's, and came while it held."""
    held = version.until_max is None or fire <= version.until_max
    schedule = schedule_of(version.rule, anchor=version.task.anchor)
    return held and schedule.next_after(fire - timedelta(seconds=1)) == fire


# Promise 5: everything ends.


def _ends(story: Story) -> Iterator[str]:
    for execution in story.executions:
        if execution.status not in ENDS or execution.ended_at is None:
            yield f"everything ends: execution {execution.execution_id} is {execution.status}"
    for subtask in story.subtasks:
        if subtask.status not in ENDS or subtask.ended_at is None:
            yield f"everything ends: subtask {_name(subtask)} is {subtask.status}, dispatched {subtask.dispatched_at}"
        if subtask.result_code is ResultCode.INTERNAL:
            yield f"no attempt breaks: {_name(subtask)}: {subtask.result_message}"
    for reference in story.live:
        yield f"nothing stays live for ever: {reference}"


def _counters(story: Story) -> Iterator[str]:
    shares: dict[str, list[Subtask]] = {}
    for subtask in story.subtasks:
        shares.setdefault(subtask.execution_id, []).append(subtask)
    for execution in story.executions:
        own = shares.get(execution.execution_id, [])
        succeeded = sum(subtask.status is Status.SUCCESS for subtask in own)
        failed = sum(subtask.status is Status.FAILED for subtask in own)
        running = sum(subtask.status is Status.RUNNING for subtask in own)
        said = (execution.total, execution.succeeded, execution.failed, execution.running)
        if said != (len(own), succeeded, failed, running):
            yield f"the counters are the tally: {execution.execution_id} says {said}, has {len(own), succeeded, failed}"
        if execution.status in ENDS:
            wanted = Status.FAILED if failed else Status.SUCCESS
            if execution.status is not wanted:
                yield f"one failure fails it: {execution.execution_id} is {execution.status}, {failed} failed"
            if story.records[execution.execution_id] != record_of(execution):
                yield f"the sealed record says what is so: {execution.execution_id}"


# Promise 1: recorded before done.


def _recorded_before_done(story: Story) -> Iterator[str]:
    for order in story.orders:
        recorded = order.recorded.subtask
        if recorded is None or recorded.began_at is None or recorded.sends < order.sends:
            yield f"recorded before done: {_told(order)}, when {recorded} was recorded"
        elif recorded.ended_at is not None:
            yield f"nothing is told after the end: {_told(order)}, which had ended at {recorded.ended_at}"


def _told_by_its_owner(story: Story) -> Iterator[str]:
    for order in story.orders:
        # A command that the line has lost is given out again before anybody can know; the other one watches first.
        lost = any(order.sent_at - ACK_WAIT_SECONDS <= wipe <= order.sent_at for wipe in story.wipes)
        if not lost and order.attempt is not None and not order.attempt.startswith(f"{order.worker}/"):
            yield f"only its owner tells a server: {_told(order)}, and it belonged to {order.attempt}"


# Promise 3: one live action for a server.


def _one_live_action(story: Story) -> Iterator[str]:
    for order in story.orders:
        if order.recorded.others:
            yield f"one live action for a server: {_told(order)}, while {order.recorded.others} had begun on it"


# Promise 4: no start outside the limit.


def _in_time(story: Story, notice: timedelta) -> Iterator[str]:
    executions = {execution.execution_id: execution for execution in story.executions}
    for order in story.orders:
        execution = executions.get(order.reference[0])
        if execution is None:
            continue
        start_until = execution.start_until
        if execution.enforcement:
            start_until += notice
        if order.task_type is TaskType.REINSTALL_OS:
            # It began with the stop; what that takes, by the worker's own clock, is not lateness.
            stops = [
                other.worker_clock
                for other in story.orders
                if (other.reference, other.worker) == (order.reference, order.worker)
                and other.task_type is TaskType.STOP_SERVER
            ]
            start_until += order.worker_clock - min(stops, default=order.worker_clock)
        if order.worker_clock > start_until:
            yield f"no start after its limit: {_told(order)}, limit {start_until}, told at {order.worker_clock}"
        if order.engine_clock_max < execution.fire_at:
            yield f"no start before its time: {_told(order)}, fire at {execution.fire_at}"


# Promise 6: no blind resend.


def _no_blind_resend(story: Story) -> Iterator[str]:
    told: dict[tuple[Reference, TaskType], list[Order]] = {}
    for order in story.orders:
        if order.operation is not None and order.task_type in ONLY_ONCE:
            told.setdefault((order.reference, order.task_type), []).append(order)
    for orders in told.values():
        for first, second in pairwise(orders):
            looks = [
                look
                for look in story.looks
                if look.handle == first.handle and first.at < look.at and look.told_at <= second.sent_at
            ]
            seen_unchanged = any(look.idle and look.boots == first.boots_before for look in looks)
            if first.task_type is TaskType.REINSTALL_OS or not seen_unchanged:
                yield f"no blind resend: {_told(first)} and then {_told(second)}"


def _true_success(story: Story) -> Iterator[str]:
    done = {effect.operation for effect in story.effects}
    executions = {execution.execution_id: execution for execution in story.executions}
    for subtask in story.subtasks:
        if subtask.status is not Status.SUCCESS:
            continue
        reference = (subtask.execution_id, subtask.ordinal)
        task_type = executions[subtask.execution_id].task_type
        if task_type in ONLY_ONCE:
            orders = [one for one in story.orders if one.reference == reference and one.task_type is task_type]
            if not any(order.operation in done for order in orders):
                yield f"a success is one: {reference} {task_type} is SUCCESS by {subtask.evidence}, and was never done"
        else:
            wanted = Power.ON if task_type is TaskType.START_SERVER else Power.OFF
            if not any(moment.power is wanted for moment in story.moments.get(subtask.handle or "", [])):
                yield f"a success is one: {reference} {task_type} is SUCCESS, and the server never was {wanted}"


def _cancelled(story: Story) -> Iterator[str]:
    for cancel in story.cancels:
        unbegun = set(cancel.unbegun)
        for order in story.orders:
            if order.reference in unbegun and order.at > cancel.at:
                yield f"what is cancelled does not begin: {_told(order)}, cancelled at {cancel.at:.3f}"


def _limits(story: Story, limits: dict[str, int]) -> Iterator[str]:
    for order in story.orders:
        if order.recorded.live_at_endpoint > limits[order.endpoint]:
            yield f"an endpoint's limit holds: {_told(order)}, {order.recorded.live_at_endpoint} live"


# Promise 7: nothing is lost.


def _taken_up(story: Story) -> Iterator[str]:
    for holding in story.holdings:
        if not holding.held:
            yield f"what is unfinished is taken up: {holding.reference} was not within the bound"


def _name(subtask: Subtask) -> str:
    return f"{subtask.execution_id}/{subtask.ordinal}"


def _told(order: Order) -> str:
    name = f"{order.reference[0]}/{order.reference[1]}"
    return (
        f"{order.handle} was told {order.task_type} for {name}, send {order.sends}, at {order.at:.3f} by {order.worker}"
    )
