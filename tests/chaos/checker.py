"""What must hold when all is quiet again, whatever has befallen the machines; each check gives what it finds wrong."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

import msgspec

from chaos.faults import OF_WORKERS, Befallen
from chaos.fleet import Touch
from chaos.load import Asked
from chaos.tables import Kept, KeptSubtask
from fleetcron.domain.execution import Status
from fleetcron.domain.task import TaskType
from fleetcron.drivers.journal import ACCEPTED

OURS = {"FC.INTERNAL", "FC.NO_ENDPOINT", "FC.NOT_FOUND"}
# Instants are written down in whole milliseconds.
MILLISECOND = 0.001


class TakenUp(msgspec.Struct, frozen=True, kw_only=True):
    """A subtask that was under way with a worker when that was struck, and how long nobody else cared for it."""

    subtask: str
    seconds: float


def lost(asked: Asked, kept: Kept) -> Iterator[str]:
    """Requests that were accepted and have no execution, or more than one; executions that nobody asked for."""
    fired = Counter(execution.task_id for execution in kept.executions)
    known = {task.task_id for task in kept.tasks}
    yield from (f"task {task_id} was accepted and is not there" for task_id in asked.tasks if task_id not in known)
    yield from (
        f"task {task.task_id} fired {fired[task.task_id]} times" for task in kept.tasks if fired[task.task_id] != 1
    )
    accepted = set(asked.tasks)
    unsure = Counter(asked.unsure_tasks)
    made = Counter(task.name for task in kept.tasks if not task.at_once and task.task_id not in accepted)
    yield from (f"task {name} was made {more} times too often" for name, more in (made - unsure).items())
    there = Counter(_servers(kept))
    wanted = Counter(asked.at_once)
    possible = wanted + Counter(asked.unsure_at_once)
    yield from (f"an operation on {sorted(servers)} was accepted and is not there" for servers in wanted - there)
    yield from (f"an operation on {sorted(servers)} was made too often" for servers in there - possible)


def unfinished(kept: Kept) -> Iterator[str]:
    """Everything that has not ended."""
    over = {Status.SUCCESS, Status.FAILED}
    for execution in kept.executions:
        if execution.ended_at is None or execution.status not in over:
            yield f"execution {execution.execution_id} is {execution.status}"
    for subtask in kept.subtasks:
        if subtask.ended_at is None or subtask.status not in over:
            yield f"subtask {subtask.key} is {subtask.status}"
    if kept.live_actions:
        yield f"{kept.live_actions} servers are still said to be operated on"


def miscounted(kept: Kept) -> Iterator[str]:
    """Executions whose counters or status are not what their subtasks tell."""
    tally: defaultdict[str, Counter[Status]] = defaultdict(Counter)
    for subtask in kept.subtasks:
        tally[subtask.execution_id][subtask.status] += 1
    for one in kept.executions:
        ends = tally[one.execution_id]
        told = (one.total, one.succeeded, one.failed, one.running, one.status)
        status = Status.FAILED if ends[Status.FAILED] else Status.SUCCESS
        right = (ends.total(), ends[Status.SUCCESS], ends[Status.FAILED], 0, status)
        if told != right:
            yield f"execution {one.execution_id} says {told}, its subtasks {right}"


def blind_resends(journal: Iterable[Touch]) -> Iterator[str]:
    """Orders that were given again though an earlier one had been taken and who gave it had not looked since."""
    unseen: dict[tuple[str, str | None], Touch] = {}
    for touch in journal:
        if touch.verb == "observe" and touch.answer == ACCEPTED:
            unseen = {key: order for key, order in unseen.items() if key[0] != touch.handle}
        if touch.verb == "submit":
            key = touch.handle, touch.subtask
            if key in unseen:
                yield f"{touch.handle}: {touch.request_id} by {touch.worker} after {unseen[key]}"
            if touch.answer == ACCEPTED:
                unseen[key] = touch


def doubled(journal: Iterable[Touch]) -> Iterator[str]:
    """Subtasks by which a server was restarted or reinstalled twice.

    An order acts as soon as it is taken here, so whoever looks before sending again sees that; unless it came to
    nothing, and then it may be given again.
    """
    acted = Counter(
        (touch.subtask, touch.task_type)
        for touch in journal
        if _is_taken(touch) and touch.task_type in _NEVER_TWICE and not touch.fails
    )
    yield from (f"{subtask}: {count} times {kind}" for (subtask, kind), count in acted.items() if count > 1)


def overlapping(kept: Kept) -> Iterator[str]:
    """Pairs of subtasks that were live on one server at one time."""
    live: defaultdict[str, list[KeptSubtask]] = defaultdict(list)
    for subtask in kept.subtasks:
        if subtask.handle is not None and subtask.dispatched_at is not None:
            live[subtask.handle].append(subtask)
    for handle, subtasks in live.items():
        in_order = sorted(subtasks, key=lambda one: (one.dispatched_at, one.key))
        for before, after in pairwise(in_order):
            assert after.dispatched_at is not None
            if before.ended_at is None or before.ended_at > after.dispatched_at:
                yield f"{handle}: {before.key} and {after.key}"


def untimely(journal: Iterable[Touch], kept: Kept) -> Iterator[str]:
    """Orders that were given before their subtask was said to have begun, or after it had ended."""
    known = {subtask.key: subtask for subtask in kept.subtasks}
    for touch in journal:
        if touch.verb != "submit":
            continue
        subtask = known.get(touch.subtask or "")
        if subtask is None or subtask.began_at is None:
            yield f"{touch.request_id}: an order for what never began"
        elif touch.at < subtask.began_at.timestamp() - MILLISECOND:
            yield f"{touch.request_id}: an order before it began"
        elif subtask.ended_at is None or touch.at > subtask.ended_at.timestamp() + MILLISECOND:
            yield f"{touch.request_id}: an order after it ended"


def false_successes(journal: Iterable[Touch], kept: Kept) -> Iterator[str]:
    """Restarts and reinstallations that are called a success and were not done, and failures of our own making."""
    acted = {touch.subtask for touch in journal if _is_taken(touch) and not touch.fails}
    for subtask in kept.subtasks:
        if subtask.status is Status.SUCCESS and subtask.task_type in _NEVER_TWICE and subtask.key not in acted:
            yield f"{subtask.key} is a success, and was not done"
        if subtask.result_code in OURS:
            yield f"{subtask.key} failed with {subtask.result_code}"


def taken_up(befallen: Iterable[Befallen], journal: Sequence[Touch], kept: Kept) -> list[list[TakenUp]]:
    """For each time that a worker was struck, what it had under way, and when another one came to that, or it ended.

    A worker that was frozen so shortly that nobody missed it came to it itself.
    """
    touches: defaultdict[str, list[Touch]] = defaultdict(list)
    for touch in journal:
        touches[touch.handle].append(touch)
    return [
        [
            taken
            for subtask in kept.subtasks
            if subtask.handle is not None and (taken := _taken_up(subtask, touches[subtask.handle], one)) is not None
        ]
        for one in befallen
        if one.fault.kind in OF_WORKERS
    ]


def _taken_up(subtask: KeptSubtask, touches: Sequence[Touch], befallen: Befallen) -> TakenUp | None:
    if subtask.dispatched_at is None or subtask.dispatched_at.timestamp() > befallen.at:
        return None
    if subtask.ended_at is None or subtask.ended_at.timestamp() <= befallen.at:
        return None
    earlier = [one for one in touches if subtask.dispatched_at.timestamp() <= one.at <= befallen.at]
    if not earlier or earlier[-1].worker != befallen.pid:
        return None
    later = [one.at for one in touches if one.at > befallen.at and _goes_on(one, befallen)]
    return TakenUp(subtask=subtask.key, seconds=min([*later, subtask.ended_at.timestamp()]) - befallen.at)


def _goes_on(touch: Touch, befallen: Befallen) -> bool:
    """Whether this is somebody's care for what was left; the last words of who was struck are not."""
    return touch.worker != befallen.pid or touch.at > befallen.until


def _is_taken(touch: Touch) -> bool:
    return touch.verb == "submit" and touch.answer == ACCEPTED


def _servers(kept: Kept) -> Iterator[frozenset[str]]:
    """The servers of each operation at once."""
    at_once = {task.task_id for task in kept.tasks if task.at_once}
    servers: Mapping[str, set[str]] = {one.execution_id: set() for one in kept.executions if one.task_id in at_once}
    for subtask in kept.subtasks:
        if subtask.execution_id in servers:
            servers[subtask.execution_id].add(subtask.server_id)
    yield from map(frozenset, servers.values())


_NEVER_TWICE = frozenset({TaskType.RESTART_SERVER, TaskType.REINSTALL_OS})
