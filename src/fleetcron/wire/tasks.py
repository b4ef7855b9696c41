"""Tasks in the vendor's words: what create and update send, what list and show answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Final, TypedDict

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fleetcron.domain.execution import Status
from fleetcron.domain.schedule import Rule
from fleetcron.domain.task import (
    DESCRIPTION_LENGTH_MAX,
    NAME_LENGTH_MAX,
    TARGETS_MAX,
    Change,
    Draft,
    Target,
    TargetKind,
    Task,
    TaskType,
)
from fleetcron.wire.fields import AnyCase, Id, Page
from fleetcron.wire.schedules import (
    ScheduledType,
    ScheduleFields,
    rule_changes,
    rule_of,
    say_cron,
    say_fire,
    say_moment,
    say_rule,
)

BATCH_DELETE_MAX = 20

# `$` alone would let a trailing line feed through in some dialects.
TaskName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=NAME_LENGTH_MAX,
        pattern=r"^[A-Za-z0-9_\u4e00-\u9fa5-]+(?!\n)$",
        description="Chinese characters, letters, digits, `_` and `-`.",
    ),
]
Description = Annotated[str, Meta(max_length=DESCRIPTION_LENGTH_MAX)]

# Our fields of a draft or task, and what the wire calls them.
NAMES: Final = {
    "name": "task_name",
    "task_type": "task_type",
    "targets": "target_infos",
    "enforcement": "schedule_task_policy",
    "description": "description",
    "enabled": "is_enable",
}


class TaskTypeText(AnyCase):
    """What is done to each server."""

    RESTART_SERVER = "RESTART_SERVER"
    START_SERVER = "START_SERVER"
    STOP_SERVER = "STOP_SERVER"
    REINSTALL_OS = "REINSTALL_OS"


class TargetType(AnyCase):
    """What a target names."""

    SERVER = "SERVER"
    SERVER_GROUP = "SERVER_GROUP"


class TargetInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A server or server group that a task names."""

    target_type: TargetType
    target_id: Id
    target_name: str | UnsetType | None = UNSET


class SchedulePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Whether to go on although people use the server."""

    enforcement_enable: bool | None = False


Targets = Annotated[tuple[TargetInfo, ...], Meta(min_length=1, max_length=TARGETS_MAX)]


class CreateTask(ScheduleFields, frozen=True, kw_only=True):
    """CreateScheduleTaskReq."""

    task_name: TaskName
    task_type: TaskTypeText
    scheduled_type: ScheduledType
    target_infos: Targets
    schedule_task_policy: SchedulePolicy | UnsetType | None = UNSET
    description: Description | UnsetType | None = UNSET


class UpdateTask(ScheduleFields, frozen=True, kw_only=True):
    """UpdateScheduleTaskReq: what is absent stays as it is, an empty text clears."""

    task_name: TaskName | UnsetType | None = UNSET
    task_type: TaskTypeText | UnsetType | None = UNSET
    schedule_task_policy: SchedulePolicy | UnsetType | None = UNSET
    description: Description | UnsetType | None = UNSET
    is_enable: bool | UnsetType | None = UNSET
    target_infos: Targets | UnsetType | None = UNSET


class ListQuery(Page, frozen=True, kw_only=True):
    """Which tasks: ``task_name`` matches anywhere in the name."""

    task_name: Annotated[str, Meta(max_length=64)] = ""
    task_type: Annotated[
        str, Meta(pattern=r"^(RESTART_SERVER|START_SERVER|STOP_SERVER|REINSTALL_OS|UPGRADE_ACCESS_AGENT)?(?!\n)$")
    ] = ""


class BatchDelete(msgspec.Struct, frozen=True, kw_only=True):
    """The ids to delete; unknown ones are passed over."""

    items: Annotated[
        tuple[Id, ...],
        Meta(min_length=1, max_length=BATCH_DELETE_MAX, extra_json_schema={"uniqueItems": True}),
    ]


class Policy(TypedDict):
    """schedule_task_policy as it is read back."""

    enforcement_enable: bool


class ScheduleText(TypedDict, total=False):
    """The schedule fields as they are read back; what was not given is absent."""

    scheduled_type: str
    day_interval: int
    week_list: str
    month_list: str
    date_list: str
    time_zone: str
    scheduled_date: str
    scheduled_time: str
    expire_time: str


class ScheduleTask(ScheduleText, total=False):
    """A task in lists and in the answers of create and update."""

    id: str
    task_name: str
    last_status: Status
    task_type: TaskType
    task_cron: str
    next_execution_time: str
    schedule_task_policy: Policy
    description: str
    is_enable: bool
    create_time: str
    update_time: str


class TargetShown(TypedDict, total=False):
    """A target with its name, if it exists."""

    target_type: TargetKind
    target_id: str
    target_name: str


class TaskShown(ScheduleText, total=False):
    """A task by its id: with its targets, without what only lists say."""

    id: str
    task_name: str
    task_type: TaskType
    schedule_task_policy: Policy
    description: str
    target_infos: list[TargetShown]


class TaskList(TypedDict):
    """A page of tasks; ``count`` is the number of all that match."""

    count: int
    items: list[ScheduleTask]


class FutureExecutions(TypedDict):
    """The next fires as read off the time zone's clock."""

    future_executions: list[str]
    time_zone: str


def draft_of(said: CreateTask, *, default_zone: str) -> Draft:
    """What a create request asks for.

    Raises:
        Invalid: a text cannot be read; names the wire's field.
    """
    return Draft(
        name=said.task_name,
        task_type=TaskType(said.task_type.value),
        rule=rule_of(said, default_zone=default_zone),
        targets=_targets(said.target_infos),
        enforcement=_enforcement(said.schedule_task_policy),
        description=said.description or None,
    )


def change_of(said: UpdateTask, *, default_zone: str) -> Change:
    """What an update request asks to be different.

    Raises:
        Invalid: a text cannot be read; names the wire's field.
    """
    changes: dict[str, object] = {}
    if _said(said.task_name):
        changes["name"] = said.task_name
    if isinstance(said.task_type, TaskTypeText):
        changes["task_type"] = TaskType(said.task_type.value)
    if isinstance(said.schedule_task_policy, SchedulePolicy):
        changes["enforcement"] = _enforcement(said.schedule_task_policy)
    if _said(said.description):
        changes["description"] = said.description or None
    if _said(said.is_enable):
        changes["enabled"] = said.is_enable
    if isinstance(said.target_infos, tuple):
        changes["targets"] = _targets(said.target_infos)
    return Change(task=changes, rule=rule_changes(said, default_zone=default_zone))


def say_task(task: Task, last_status: Status) -> ScheduleTask:
    """The task as lists, create and update answer it."""
    said: ScheduleTask = {
        "id": task.task_id,
        "task_name": task.name,
        "last_status": last_status,
        "task_type": task.task_type,
        "is_enable": task.enabled,
        **_spoken(task),  # type: ignore[typeddict-item]
        "create_time": say_moment(task.created_at),
        "update_time": say_moment(task.updated_at),
    }
    cron = say_cron(task.rule, task.anchor)
    if cron is not None:
        said["task_cron"] = cron
    if task.next_fire_at is not None:
        said["next_execution_time"] = say_fire(task.next_fire_at, task.rule.zone)
    return said


def say_task_shown(task: Task, names: Mapping[Target, str]) -> TaskShown:
    """The task as show answers it."""
    return {
        "id": task.task_id,
        "task_name": task.name,
        "task_type": task.task_type,
        **_spoken(task),  # type: ignore[typeddict-item]
        "target_infos": [_say_target(target, names.get(target)) for target in task.targets],
    }


def say_preview(fires: Sequence[datetime], rule: Rule) -> FutureExecutions:
    """The next fires as future-executions answers them."""
    return {"future_executions": [say_fire(fire, rule.zone) for fire in fires], "time_zone": rule.zone}


def _spoken(task: Task) -> dict[str, object]:
    """What the operator said and reads back the same: nothing that was not said is made up."""
    said = say_rule(task.rule)
    if task.enforcement is not None:
        said["schedule_task_policy"] = {"enforcement_enable": task.enforcement}
    if task.description is not None:
        said["description"] = task.description
    return said


def _say_target(target: Target, name: str | None) -> TargetShown:
    said: TargetShown = {"target_type": target.kind, "target_id": target.target_id}
    if name is not None:
        said["target_name"] = name
    return said


def _targets(said: tuple[TargetInfo, ...]) -> tuple[Target, ...]:
    """The targets, each once, in the order in which they came."""
    return tuple(dict.fromkeys(Target(kind=TargetKind(one.target_type.value), target_id=one.target_id) for one in said))


def _enforcement(policy: SchedulePolicy | UnsetType | None) -> bool | None:
    return bool(policy.enforcement_enable) if isinstance(policy, SchedulePolicy) else None


def _said(value: object) -> bool:
    return value is not UNSET and value is not None
