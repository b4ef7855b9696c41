"""History in the vendor's words: executions of a task, and their subtasks.

Source: the vendor's page of ListTaskExecuteHistory; ListTaskExecuteDetail of its OpenAPI.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypedDict

import msgspec

from fleetcron.domain.execution import Evidence, Execution, ResultCode, Status, Subtask
from fleetcron.domain.task import TaskType
from fleetcron.wire.schedules import SCHEDULED_TYPES, ScheduledType, say_instant


class ExecuteHistory(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename={"executing_count": "excuting_count"},  # sic, in the vendor's page, OpenAPI and every SDK
):
    """One execution: exactly these 13 fields; times not reached yet are null."""

    id: str
    task_id: str
    task_type: TaskType
    status: Status
    scheduled_type: ScheduledType
    total_count: int
    success_count: int
    failed_count: int
    executing_count: int
    time_zone: str
    begin_time: str | None
    end_time: str | None
    create_time: str | None


class ExecuteHistoryList(TypedDict):
    """A page of executions, newest first; ``count`` is the number of all."""

    count: int
    items: list[ExecuteHistory]


class ExecuteDetail(TypedDict):
    """One subtask; the result's code and message are null unless it failed.

    The last two fields are ours, beside the vendor's: what a success rests on, and the nominal time of the fire
    (``begin_time`` minus ``fire_time`` is the lateness).
    """

    id: str
    execute_id: str
    server_id: str
    server_name: str | None
    status: Status
    task_type: TaskType
    time_zone: str
    begin_time: str | None
    end_time: str | None
    result_code: ResultCode | None
    result_message: str | None
    evidence: Evidence | None
    fire_time: str | None


class ExecuteDetailList(TypedDict):
    """A page of subtasks in their order; ``count`` is the number of all."""

    count: int
    items: list[ExecuteDetail]


PATH_ID: Final = "execute_history_id"
"""What paths call the execution."""

_encode = msgspec.json.Encoder().encode


def say_execution(execution: Execution) -> ExecuteHistory:
    """The execution as execute-history lists it."""
    return ExecuteHistory(
        id=execution.execution_id,
        task_id=execution.task_id,
        task_type=execution.task_type,
        status=execution.status,
        scheduled_type=SCHEDULED_TYPES[execution.cycle],
        total_count=execution.total,
        success_count=execution.succeeded,
        failed_count=execution.failed,
        executing_count=execution.running,
        time_zone=execution.zone,
        begin_time=say_instant(execution.began_at),
        end_time=say_instant(execution.ended_at),
        create_time=say_instant(execution.created_at),
    )


def record_of(execution: Execution) -> bytes:
    """The execution as execute-history lists it, encoded: what is kept beside a finished one."""
    return _encode(say_execution(execution))


def history_page(count: int, items: Sequence[bytes | Execution]) -> bytes:
    """A whole answer of execute-history; records go in as they are."""
    said = b",".join([item if isinstance(item, bytes) else record_of(item) for item in items])
    return b'{"count":%d,"items":[%b]}' % (count, said)


def say_subtask(subtask: Subtask, execution: Execution) -> ExecuteDetail:
    """The subtask as execute-detail lists it."""
    return {
        "id": f"{subtask.execution_id}-{subtask.ordinal}",
        "execute_id": subtask.execution_id,
        "server_id": subtask.server_id,
        "server_name": subtask.server_name,
        "status": subtask.status,
        "task_type": execution.task_type,
        "time_zone": execution.zone,
        "begin_time": say_instant(subtask.began_at),
        "end_time": say_instant(subtask.ended_at),
        "result_code": subtask.result_code,
        "result_message": subtask.result_message,
        "evidence": subtask.evidence,
        "fire_time": say_instant(execution.fire_at),
    }


def detail_page(execution: Execution, items: Sequence[Subtask]) -> bytes:
    """A whole answer of execute-detail."""
    return _encode({"count": execution.total, "items": [say_subtask(item, execution) for item in items]})
