"""Every column shows a field that the answer has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_type_hints

import msgspec
import pytest

from fleetcron.domain.execution import Status
from fleetcron.wire import columns, executions, fleet, tasks, tokens, users
from fleetcron.wire.columns import Column, Standing, say_enforcement


def fields_of(kind: type[Any]) -> set[str]:
    if issubclass(kind, msgspec.Struct):
        return {field.encode_name for field in msgspec.structs.fields(kind)}
    return set(get_type_hints(kind))


@pytest.mark.parametrize(
    ("shown", "kinds"),
    [
        (columns.TASKS, [tasks.ScheduleTask]),
        (columns.TASK, [tasks.ScheduleTask, tasks.TaskShown]),
        (columns.EXECUTIONS, [executions.ExecuteHistory]),
        (columns.SUBTASKS, [executions.ExecuteDetail]),
        (columns.SERVERS, [fleet.AppServer]),
        (columns.GROUPS, [fleet.AppServerGroup]),
        (columns.JOBS, [fleet.ServerJob]),
        (columns.USERS, [users.UserRecord]),
        (columns.KEYS, [users.CredentialRecord]),
        (columns.NEW_KEY, [users.CredentialRecord]),
        (columns.TOKEN, [tokens.TokenRecord]),
    ],
)
def test_every_column_shows_a_field_of_the_answer(shown: Sequence[Column], kinds: list[type[Any]]) -> None:
    known = set[str]().union(*(fields_of(kind) for kind in kinds))
    assert {column.field.partition(".")[0] for column in shown} - known == set()


def test_the_field_of_fires_is_the_answers() -> None:
    assert columns.FIRES in fields_of(tasks.FutureExecutions)


def test_a_standing_is_read_from_a_row_of_the_history() -> None:
    row = executions.ExecuteHistory(
        id="e1",
        task_id="t1",
        task_type="RESTART_SERVER",  # type: ignore[arg-type]
        status=Status.RUNNING,
        scheduled_type="DAY",  # type: ignore[arg-type]
        total_count=10,
        success_count=5,
        failed_count=1,
        executing_count=3,
        time_zone="UTC",
        begin_time=None,
        end_time=None,
        create_time=None,
    )
    standing = msgspec.json.decode(msgspec.json.encode(row), type=Standing)
    assert standing == Standing(id="e1", status=Status.RUNNING, total=10, succeeded=5, failed=1, running=3)


@pytest.mark.parametrize(
    ("status", "final"), [("WAITING", False), ("RUNNING", False), ("SUCCESS", True), ("FAILED", True)]
)
def test_a_standing_knows_whether_it_is_final(status: str, final: bool) -> None:
    standing = Standing(id="e1", status=Status(status), total=0, succeeded=0, failed=0, running=0)
    assert standing.is_final is final


@pytest.mark.parametrize("enforcement", [True, False])
def test_enforcement_is_said_as_the_policy(enforcement: bool) -> None:
    policy = msgspec.convert(say_enforcement(enforcement), tasks.SchedulePolicy)
    assert policy == tasks.SchedulePolicy(enforcement_enable=enforcement)
