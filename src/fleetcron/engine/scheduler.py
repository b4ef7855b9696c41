"""From due tasks to recorded executions: nothing is told to a server here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from fleetcron.domain.execution import Execution, Subtask, plan
from fleetcron.domain.fleet import Server
from fleetcron.domain.task import LateLimits, Target, Task
from fleetcron.engine import ledger
from fleetcron.errors import Unavailable
from fleetcron.store import executions, fleet, subtasks, tasks
from fleetcron.store.database import Database, Transaction

log = logging.getLogger(__name__)

FIRES_PER_TRANSACTION_MAX = 500
SET_ASIDE_SECONDS = 60

Members = Mapping[tuple[str, Target], Sequence[Server] | None]


class Scheduler:
    """Records every fire whose time has come, once, with the subtasks that it means.

    Fires are recorded many to a transaction. Each of them is there whole or not at all, and the task's next
    fire moves in the same commit: a crash repeats or completes, it never doubles.
    """

    def __init__(
        self, database: Database, *, late_limits: LateLimits, say: ledger.Say, new_id: Callable[[], str]
    ) -> None:
        self._database = database
        self._late_limits = late_limits
        self._say = say
        self._new_id = new_id
        self._set_aside: dict[str, datetime] = {}

    def tick(self, now: datetime) -> int:
        """Record the fires that are due at ``now``, at most one per task; how many tasks it dealt with."""
        self._set_aside = {task_id: until for task_id, until in self._set_aside.items() if until > now}
        with self._database.snapshot() as tx:
            if not self._due_ids(tx, now, 1):
                return 0
        try:
            return self._record(now)
        except Unavailable:
            raise
        except Exception:  # a task that cannot be planned must fail alone, not stop the others
            log.exception("A batch of due tasks could not be recorded; trying them one by one.")
            return self._record_one_by_one(now)

    def _due_ids(self, tx: Transaction, now: datetime, count_max: int) -> list[str]:
        due = tasks.due_ids(tx, now, count_max + len(self._set_aside))
        return [task_id for task_id in due if task_id not in self._set_aside]

    def _record(self, now: datetime) -> int:
        with self._database.transaction() as tx:
            due = tasks.due(tx, now, FIRES_PER_TRANSACTION_MAX + len(self._set_aside))
            due = [task for task in due if task.task_id not in self._set_aside]
            # Whether a fire is recorded already is left to one_execution_per_fire: that is rare, and fails the batch.
            sealed = self._fire(tx, due, now)
        ledger.publish(sealed)
        return len(due)

    def _record_one_by_one(self, now: datetime) -> int:
        with self._database.snapshot() as tx:
            due = self._due_ids(tx, now, FIRES_PER_TRANSACTION_MAX)
        for task_id in due:
            try:
                self._record_alone(task_id, now)
            except Unavailable:
                raise
            except Exception:  # the same
                log.exception("Task %s could not be recorded; set aside for %d s.", task_id, SET_ASIDE_SECONDS)
                self._set_aside[task_id] = now + timedelta(seconds=SET_ASIDE_SECONDS)
        return len(due)

    def _record_alone(self, task_id: str, now: datetime) -> None:
        sealed: list[Execution] = []
        with self._database.transaction() as tx:
            task = tasks.due_alone(tx, task_id, now)
            if task is None or task.next_fire_at is None:
                return
            if executions.is_recorded(tx, task_id, task.next_fire_at):
                # The clock or an edit went back over a fire that was answered for: never fire it twice.
                tasks.advance(tx, [(task, task.last_ordinal, task.schedule().next_after(task.next_fire_at))])
            else:
                sealed = self._fire(tx, [task], now)
        ledger.publish(sealed)

    def _fire(self, tx: Transaction, due: Sequence[Task], now: datetime) -> list[Execution]:
        """Write down one fire of each of these due tasks, and when each fires next; those that are over already."""
        members = _members(tx, due)
        recorded: list[tuple[Execution, list[Subtask]]] = []
        steps: list[tuple[Task, int, datetime | None]] = []
        for task in due:
            fire_at = task.next_fire_at
            if fire_at is None:
                continue
            next_fire_at = task.schedule().next_after(fire_at)
            recorded.append(self._plan(task, fire_at, next_fire_at, now, members))
            steps.append((task, task.last_ordinal + 1, next_fire_at))
        executions.insert(tx, [execution for execution, _ in recorded])
        subtasks.insert(tx, [share for _, shares in recorded for share in shares])
        tasks.advance(tx, steps)
        return ledger.seal(tx, [execution for execution, _ in recorded], self._say)

    def _plan(
        self, task: Task, fire_at: datetime, next_fire_at: datetime | None, now: datetime, members: Members
    ) -> tuple[Execution, list[Subtask]]:
        start_until = self._late_limits.start_until(task.task_type, fire_at)
        return plan(
            task,
            execution_id=self._new_id(),
            fire_at=fire_at,
            start_until=start_until,
            now=now,
            members={target: members[task.project_id, target] for target in task.targets},
            missed=_missed(fire_at, next_fire_at, start_until, now),
        )


def _members(tx: Transaction, due: Sequence[Task]) -> Members:
    """The servers behind every target of these tasks, each target asked for once."""
    wanted: dict[str, set[Target]] = {}
    for task in due:
        wanted.setdefault(task.project_id, set()).update(task.targets)
    return {
        (project_id, target): servers
        for project_id, targets in wanted.items()
        for target, servers in fleet.members(tx, project_id, targets).items()
    }


def _missed(fire_at: datetime, next_fire_at: datetime | None, start_until: datetime, now: datetime) -> str | None:
    """Why this fire is not to be run any more, None if it is (house ruling 5)."""
    late = f"{(now - fire_at).total_seconds():.0f} s after its time"
    if next_fire_at is not None and next_fire_at <= now:
        return f"Missed: found {late}, when a newer fire was due as well."
    if now > start_until:
        return f"Missed: found {late}; it could begin until {start_until:%Y-%m-%dT%H:%M:%SZ}."
    return None
