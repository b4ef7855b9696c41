"""What to do, to which targets, when: the task, and what may be decided about it without a clock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Annotated

import msgspec

from fleetcron.domain.schedule import Rule, Schedule, schedule_of
from fleetcron.errors import Invalid

TARGETS_MAX = 1000
NAME_LENGTH_MAX = 64
DESCRIPTION_LENGTH_MAX = 255

# A scheduler that is awake reaches a fire within a fraction of a second; a fire reached later than
# this was slept through. It must stay above the scheduler's own worst lag, or punctual fires are lost.
ON_TIME_SECONDS = 5

LateSeconds = Annotated[int, msgspec.Meta(ge=0, le=7 * 24 * 3600)]


class TaskType(StrEnum):
    """What is done to each server."""

    START_SERVER = "START_SERVER"
    STOP_SERVER = "STOP_SERVER"
    RESTART_SERVER = "RESTART_SERVER"
    REINSTALL_OS = "REINSTALL_OS"


class TargetKind(StrEnum):
    """What a target names."""

    SERVER = "SERVER"
    SERVER_GROUP = "SERVER_GROUP"


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A server or a server group that a task names; it need not exist before the task fires."""

    kind: TargetKind
    target_id: str


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What to do, to which targets, when.

    ``enforcement`` is None where the operator did not say (which acts as False and is echoed as unsaid).
    ``next_fire_at`` is None when no fire is to come: disabled, expired, past or deleted.
    ``anchor`` is the first fire's date, from which a Daily rule with an interval counts.
    Executions carry the ordinals ``first_ordinal`` to ``last_ordinal``, without a hole.
    """

    task_id: str
    project_id: str
    name: str
    task_type: TaskType
    rule: Rule
    targets: tuple[Target, ...]
    enforcement: bool | None
    description: str | None
    enabled: bool
    anchor: date | None
    next_fire_at: datetime | None
    first_ordinal: int
    last_ordinal: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None

    def schedule(self) -> Schedule:
        """What the rule means, counted from the task's own anchor."""
        return schedule_of(self.rule, anchor=self.anchor)


class LateLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How late an operation may still begin, in seconds after its fire time (house ruling 5)."""

    default_seconds: LateSeconds = 300
    reinstall_seconds: LateSeconds = 0

    def start_until(self, task_type: TaskType, fire_at: datetime) -> datetime:
        """The last instant at which a subtask of this fire may begin."""
        limit = self.reinstall_seconds if task_type is TaskType.REINSTALL_OS else self.default_seconds
        return fire_at + timedelta(seconds=max(limit, ON_TIME_SECONDS))


def anchor_of(rule: Rule, now: datetime) -> date | None:
    """The date that the rule names for its first fire after ``now``; None if there is no such fire."""
    return schedule_of(rule, anchor=None).date_after(now)


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator asks for in a new task."""

    name: str
    task_type: TaskType
    rule: Rule
    targets: tuple[Target, ...]
    enforcement: bool | None = None
    description: str | None = None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator asks to be different in a task: new values by the fields of Task and of its Rule."""

    task: Mapping[str, object] = {}
    rule: Mapping[str, object] = {}


def create(draft: Draft, *, task_id: str, project_id: str, now: datetime) -> Task:
    """A new task, enabled, with its first fire after ``now``.

    Raises:
        Invalid: the rule cannot be read, has expired, or lies in the past; names its field.
    """
    anchor = anchor_of(draft.rule, now)
    if anchor is None:
        raise _never_fires(draft.rule, now)
    return Task(
        task_id=task_id,
        project_id=project_id,
        name=draft.name,
        task_type=draft.task_type,
        rule=draft.rule,
        targets=draft.targets,
        enforcement=draft.enforcement,
        description=draft.description,
        enabled=True,
        anchor=anchor,
        next_fire_at=schedule_of(draft.rule, anchor=anchor).next_after(now),
        first_ordinal=1,
        last_ordinal=0,
        created_at=now,
        updated_at=now,
        deleted_at=None,
    )


def change(task: Task, asked: Change, now: datetime) -> Task:
    """The task with what is asked made different; what is not asked stays.

    A schedule that is changed or switched on again is counted anew from ``now``. A fire that has come already and
    is not recorded yet is not dropped by an edit, only by switching the task off.

    Raises:
        Invalid: the new rule cannot be read; names its field.
    """
    rule = msgspec.structs.replace(task.rule, **asked.rule)
    changed = msgspec.structs.replace(task, **asked.task, rule=rule, updated_at=now)
    if rule != task.rule:
        changed = msgspec.structs.replace(changed, anchor=anchor_of(rule, now))
    if not changed.enabled:
        return msgspec.structs.replace(changed, next_fire_at=None)
    is_due = task.next_fire_at is not None and task.next_fire_at <= now
    if is_due or (rule == task.rule and task.enabled):
        return changed
    return msgspec.structs.replace(changed, next_fire_at=changed.schedule().next_after(now))


def _never_fires(rule: Rule, now: datetime) -> Invalid:
    """Say why a rule has no fire after ``now``."""
    expires_at = rule.expires_at()
    if expires_at is not None and expires_at <= now:
        return Invalid("expires", "is in the past")
    if expires_at is not None:
        return Invalid("expires", "comes before the first fire")
    return Invalid("on_date", "with its time is in the past")
