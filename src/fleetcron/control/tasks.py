"""What people ask of tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

import msgspec

from fleetcron.control.authorisation import EVERY, SERVER, SERVER_GROUP, TASK, Thing, authorise
from fleetcron.domain import task as law
from fleetcron.domain.access import Caller, Permission
from fleetcron.domain.execution import Status
from fleetcron.domain.schedule import Rule, schedule_of, upcoming
from fleetcron.domain.task import Change, Draft, Target, TargetKind, Task
from fleetcron.errors import NotFound
from fleetcron.store import fleet, tasks
from fleetcron.store.database import Database, Transaction

PREVIEW_COUNT = 5


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A task with the status of its newest execution: WAITING before the first."""

    task: Task
    latest: Status


class Tasks:
    """The use cases of tasks; each authorises, checks, and is one transaction.

    Every one raises ``Forbidden`` when the caller may not, and those that name a task ``NotFound`` when the project
    has no such task. ``wake`` is called after commits that may have made something due.
    """

    def __init__(self, database: Database, *, new_id: Callable[[], str], wake: Callable[[], None]) -> None:
        self._database = database
        self._new_id = new_id
        self._wake = wake

    def page(
        self, caller: Caller, project_id: str, *, name: str | None, task_type: str | None, offset: int, limit: int
    ) -> tuple[int, list[Standing]]:
        """How many tasks match, and one stretch of them, newest first; ``name`` matches anywhere."""
        with self._database.snapshot() as tx:
            authorise(tx, caller, Permission.LIST_TASKS, project_id, (TASK, EVERY))
            count, found = tasks.page(tx, project_id, name=name, task_type=task_type, offset=offset, limit=limit)
            statuses = tasks.latest_statuses(tx, found)
        return count, [Standing(task=task, latest=statuses.get(task.task_id, Status.WAITING)) for task in found]

    def create(self, caller: Caller, project_id: str, draft: Draft, now: datetime) -> Standing:
        """Write down a new task.

        Raises:
            Invalid: its rule cannot be read, or will never fire.
        """
        with self._database.transaction() as tx:
            authorise(tx, caller, Permission.CREATE_TASK, project_id, (TASK, EVERY), *_things(draft.targets))
            task = law.create(draft, task_id=self._new_id(), project_id=project_id, now=now)
            tasks.insert(tx, task)
        self._wake()
        return Standing(task=task, latest=Status.WAITING)

    def show(self, caller: Caller, project_id: str, task_id: str) -> tuple[Task, Mapping[Target, str]]:
        """The task, and the names of those of its targets that exist."""
        with self._database.snapshot() as tx:
            authorise(tx, caller, Permission.SHOW_TASK, project_id, (TASK, task_id))
            task = _find(tx, project_id, task_id)
            return task, fleet.target_names(tx, project_id, task.targets)

    def update(self, caller: Caller, project_id: str, task_id: str, change: Change, now: datetime) -> Standing:
        """Make the task as asked.

        Raises:
            Invalid: the changed rule cannot be read.
        """
        with self._database.transaction() as tx:
            # Before the task is looked up, so that who may not learns nothing; and its targets, once they are known.
            authorise(tx, caller, Permission.UPDATE_TASK, project_id, (TASK, task_id))
            # Locked, so that what the scheduler writes meanwhile is not written over with what was there before.
            known = tasks.lock(tx, project_id, task_id)
            if known is None:
                raise NotFound("task", task_id)
            task = law.change(known, change, now)
            authorise(tx, caller, Permission.UPDATE_TASK, project_id, (TASK, task_id), *_things(task.targets))
            tasks.replace(tx, task)
            statuses = tasks.latest_statuses(tx, [task])
        self._wake()
        return Standing(task=task, latest=statuses.get(task_id, Status.WAITING))

    def delete(self, caller: Caller, project_id: str, task_id: str, now: datetime) -> None:
        """Delete the task; one that is not there is as good as deleted. What runs already runs to its end."""
        with self._database.transaction() as tx:
            authorise(tx, caller, Permission.DELETE_TASK, project_id, (TASK, task_id))
            tasks.delete(tx, project_id, [task_id], now)

    def delete_many(self, caller: Caller, project_id: str, task_ids: list[str], now: datetime) -> None:
        """Delete tasks, all together; ids that are not there are passed over."""
        with self._database.transaction() as tx:
            authorise(tx, caller, Permission.DELETE_TASKS, project_id, *((TASK, task_id) for task_id in task_ids))
            # In one order, or two callers could wait for each other's tasks.
            tasks.delete(tx, project_id, sorted(task_ids), now)

    def preview(self, caller: Caller, project_id: str, rule: Rule, now: datetime) -> list[datetime]:
        """The next fires of a rule that need not belong to any task, PREVIEW_COUNT at most.

        Raises:
            Invalid: the rule cannot be read.
        """
        with self._database.snapshot() as tx:
            authorise(tx, caller, Permission.PREVIEW_FIRES, project_id)
        return upcoming(schedule_of(rule, anchor=None), now, PREVIEW_COUNT)


def _things(targets: Iterable[Target]) -> Iterator[Thing]:
    for target in targets:
        yield SERVER if target.kind is TargetKind.SERVER else SERVER_GROUP, target.target_id


def _find(tx: Transaction, project_id: str, task_id: str) -> Task:
    task = tasks.find(tx, project_id, task_id)
    if task is None:
        raise NotFound("task", task_id)
    return task
