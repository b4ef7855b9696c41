"""One firing of a task, and one server's share of it; how they begin and how they end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from fleetcron.domain.fleet import Server
from fleetcron.domain.schedule import Cycle
from fleetcron.domain.task import Target, TargetKind, Task, TaskType

RESULT_MESSAGE_LENGTH_MAX = 255

Reference = tuple[str, int]
"""A subtask's name: (execution_id, ordinal)."""


class Status(StrEnum):
    """Where an execution or a subtask stands. SUCCESS and FAILED are final: what has them never moves."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"


class Evidence(StrEnum):
    """What a success rests on, weakest first."""

    ACCEPTED = "accepted"
    POWER_SEEN = "power_seen"
    BOOT_MARKER_CHANGED = "boot_marker_changed"


class ResultCode(StrEnum):
    """Why a subtask failed; at most 16 characters, listed for users in docs/error-codes.md."""

    NOT_FOUND = "FC.NOT_FOUND"
    NO_ENDPOINT = "FC.NO_ENDPOINT"
    CONFLICT = "FC.CONFLICT"
    MISSED = "FC.MISSED"
    CANCELLED = "FC.CANCELLED"
    USERS = "FC.USERS"
    NOT_OFF = "FC.NOT_OFF"
    UNREACHABLE = "FC.UNREACHABLE"
    REFUSED = "FC.REFUSED"
    FAILED = "FC.FAILED"
    TIMEOUT = "FC.TIMEOUT"
    UNKNOWN = "FC.UNKNOWN"
    INTERNAL = "FC.INTERNAL"


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """One firing of a task, with the task as it was then.

    ``ordinal`` numbers the executions of a task 1, 2, 3 … without a hole. ``start_until`` is the last
    instant at which one of its subtasks may begin. The counters add up: what is neither succeeded,
    failed nor running is waiting. From ``cancelled_at`` on none of its subtasks begins any more; what has begun runs
    to its end. Once the status is final nothing here changes any more.
    """

    execution_id: str
    task_id: str
    project_id: str
    ordinal: int
    fire_at: datetime
    start_until: datetime
    task_type: TaskType
    cycle: Cycle
    zone: str
    enforcement: bool
    status: Status
    total: int
    succeeded: int
    failed: int
    running: int
    began_at: datetime | None
    ended_at: datetime | None
    created_at: datetime
    cancelled_at: datetime | None = None


class Subtask(msgspec.Struct, frozen=True, kw_only=True):
    """One server's share of an execution, numbered 1, 2, 3 … within it.

    It is live from ``dispatched_at`` until ``ended_at``: for that time no other subtask may act on its
    server. ``boot_marker`` is what was observed before the server was told, ``ticket`` what the driver
    answered; ``settle_until`` is the deadline by which it ends, one way or the other. ``attempt`` names the attempt
    that carries it out now.
    """

    execution_id: str
    ordinal: int
    server_id: str
    server_name: str | None
    endpoint: str | None
    handle: str | None
    status: Status
    dispatched_at: datetime | None = None
    began_at: datetime | None = None
    settle_until: datetime | None = None
    boot_marker: str | None = None
    ticket: str | None = None
    sends: int = 0
    attempt: str | None = None
    ended_at: datetime | None = None
    evidence: Evidence | None = None
    result_code: ResultCode | None = None
    result_message: str | None = None


def plan(
    task: Task,
    *,
    execution_id: str,
    fire_at: datetime,
    start_until: datetime,
    now: datetime,
    members: Mapping[Target, Sequence[Server] | None],
    missed: str | None = None,
) -> tuple[Execution, list[Subtask]]:
    """Say what one firing of ``task`` is: its execution and one subtask per server.

    ``members`` gives the servers behind each target, None for a target that does not exist; that becomes
    one FAILED subtask, so nobody learns of it by silence. A server named twice is acted on once.
    With ``missed`` (the reason) nothing will be sent and every subtask is FAILED from the start.
    """
    # By server, and what does not exist by target: a missing group must not hide a server of the same name.
    subtasks: dict[str | Target, Subtask] = {}
    for target in task.targets:
        servers = members[target]
        if servers is None:
            subtasks.setdefault(target, _absent(target, execution_id, len(subtasks) + 1, now))
            continue
        for server in servers:
            if server.server_id not in subtasks:
                subtasks[server.server_id] = _share(server, execution_id, len(subtasks) + 1, now, missed)
    shares = list(subtasks.values())
    failed = sum(subtask.status is Status.FAILED for subtask in shares)
    over = failed == len(shares)
    execution = Execution(
        execution_id=execution_id,
        task_id=task.task_id,
        project_id=task.project_id,
        ordinal=task.last_ordinal + 1,
        fire_at=fire_at,
        start_until=start_until,
        task_type=task.task_type,
        cycle=task.rule.cycle,
        zone=task.rule.zone,
        enforcement=bool(task.enforcement),
        status=outcome(failed) if over else Status.WAITING,
        total=len(shares),
        succeeded=0,
        failed=failed,
        running=0,
        began_at=None,
        ended_at=now if over else None,
        created_at=now,
    )
    return execution, shares


def outcome(failed: int) -> Status:
    """How an execution ends whose subtasks have all ended: one failure fails it, none is success."""
    return Status.FAILED if failed else Status.SUCCESS


def short(message: str) -> str:
    """Cut a result's message to what the wire can carry, keeping its beginning, and to what can be written as UTF-8."""
    message = message.encode(errors="replace").decode()
    return message if len(message) <= RESULT_MESSAGE_LENGTH_MAX else message[: RESULT_MESSAGE_LENGTH_MAX - 1] + "…"


def _share(server: Server, execution_id: str, ordinal: int, now: datetime, missed: str | None) -> Subtask:
    return Subtask(
        execution_id=execution_id,
        ordinal=ordinal,
        server_id=server.server_id,
        server_name=server.name,
        endpoint=server.endpoint,
        handle=server.handle,
        status=Status.WAITING if missed is None else Status.FAILED,
        ended_at=None if missed is None else now,
        result_code=None if missed is None else ResultCode.MISSED,
        result_message=None if missed is None else short(missed),
    )


def _absent(target: Target, execution_id: str, ordinal: int, now: datetime) -> Subtask:
    noun = "server" if target.kind is TargetKind.SERVER else "server group"
    return Subtask(
        execution_id=execution_id,
        ordinal=ordinal,
        server_id=target.target_id,
        server_name=None,
        endpoint=None,
        handle=None,
        status=Status.FAILED,
        ended_at=now,
        result_code=ResultCode.NOT_FOUND,
        result_message=short(f"The {noun} {target.target_id} does not exist."),
    )
