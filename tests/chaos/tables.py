"""What the tables and the public API tell in the end."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import psycopg

from chaos.load import Client
from fleetcron.domain.execution import Status
from fleetcron.domain.task import TaskType

PAGE = 100


class KeptTask(msgspec.Struct, frozen=True, array_like=True):
    """A task; one that an operator did not make, but an operation at once, is ``at_once``."""

    task_id: str
    name: str
    at_once: bool
    next_fire_at: str | None


class KeptExecution(msgspec.Struct, frozen=True, array_like=True):
    """An execution with its counters."""

    execution_id: str
    task_id: str
    status: Status
    total: int
    succeeded: int
    failed: int
    running: int
    ended_at: datetime | None


class KeptSubtask(msgspec.Struct, frozen=True, array_like=True):
    """A subtask; ``key`` is ``execution_id/ordinal``."""

    key: str
    server_id: str
    handle: str | None
    task_type: TaskType
    status: Status
    result_code: str | None
    dispatched_at: datetime | None
    began_at: datetime | None
    ended_at: datetime | None

    @property
    def execution_id(self) -> str:
        """Whose share it is."""
        return self.key.partition("/")[0]


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is written down."""

    tasks: list[KeptTask]
    executions: list[KeptExecution]
    subtasks: list[KeptSubtask]
    live_actions: int


def is_quiet(url: str) -> bool:
    """Whether nothing is due and nothing is unfinished."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            """
            SELECT (SELECT count(*) FROM tasks WHERE next_fire_at IS NOT NULL)
                + (SELECT count(*) FROM executions WHERE ended_at IS NULL)
                + (SELECT count(*) FROM subtasks WHERE ended_at IS NULL)
            """
        ).fetchone()
    return row == (0,)


def read(url: str) -> Kept:
    """Read the tables."""
    with psycopg.connect(url) as connection:

        def rows(text: str) -> list[Any]:
            return connection.execute(text.encode()).fetchall()

        return Kept(
            tasks=msgspec.convert(
                rows("SELECT task_id, name, deleted_at IS NOT NULL AND enabled = 0, next_fire_at FROM tasks"),
                list[KeptTask],
            ),
            executions=msgspec.convert(
                rows(
                    "SELECT execution_id, task_id, status, total, succeeded, failed, running, ended_at FROM executions"
                ),
                list[KeptExecution],
            ),
            subtasks=msgspec.convert(
                rows(
                    """
                    SELECT s.execution_id || '/' || s.ordinal, s.server_id, s.handle, e.task_type, s.status,
                        s.result_code, s.dispatched_at, s.began_at, s.ended_at
                    FROM subtasks s JOIN executions e USING (execution_id)
                    ORDER BY s.execution_id, s.ordinal
                    """
                ),
                list[KeptSubtask],
            ),
            live_actions=rows("SELECT count(*) FROM live_actions")[0][0],
        )


def told(client: Client, kept: Kept) -> list[str]:
    """Everything that the public API tells otherwise than the tables do."""
    found = []
    for task in kept.tasks:
        executions = [one for one in kept.executions if one.task_id == task.task_id]
        if not task.at_once:
            said = _all(client, f"/schedule-task/{task.task_id}/execute-history")
            found += _different(task.task_id, [_counted(one) for one in executions], [_said(one) for one in said])
    for execution in kept.executions:
        said = _all(client, f"/schedule-task/{execution.execution_id}/execute-detail")
        written = [
            (one.server_id, one.status.value, one.result_code)
            for one in kept.subtasks
            if one.execution_id == execution.execution_id
        ]
        shown = [(one["server_id"], one["status"], one["result_code"]) for one in said]
        found += _different(execution.execution_id, written, shown)
    return found


def _all(client: Client, path: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    while True:
        answer, _ = client.ask("GET", f"{path}?offset={len(items)}&limit={PAGE}")
        page = answer.raise_for_status().json()
        items += page["items"]
        if not page["items"] or len(items) >= page["count"]:
            return items


def _counted(one: KeptExecution) -> tuple[object, ...]:
    return one.execution_id, one.status.value, one.total, one.succeeded, one.failed, one.running


def _said(one: dict[str, Any]) -> tuple[object, ...]:
    counts = ("total_count", "success_count", "failed_count", "excuting_count")
    return one["id"], one["status"], *(one[count] for count in counts)


def _different(where: str, written: list[Any], shown: list[Any]) -> list[str]:
    if sorted(written) == sorted(shown):
        return []
    return [f"{where}: the tables say {written}, the API {shown}"]
