"""What people look at first in each answer: the columns of a table, the most important ones first."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from fleetcron.domain.execution import Status
from fleetcron.wire.executions import ExecuteHistory
from fleetcron.wire.tasks import SchedulePolicy


class Shape(StrEnum):
    """How a value may be shown: TEXT may be folded, INSTANT is UTC, a LABEL is copied and must stay whole."""

    LABEL = "label"
    TEXT = "text"
    INSTANT = "instant"
    NUMBER = "number"


class Column(msgspec.Struct, frozen=True):
    """One column: its heading, and the wire's field that fills it (dots lead into objects).

    ``blank`` is a value that says nothing, such as the vendor's text for an idle server.
    """

    heading: str
    field: str
    shape: Shape = Shape.LABEL
    blank: str | None = None


TASKS: Final = (
    Column("ID", "id"),
    Column("Name", "task_name", Shape.TEXT),
    Column("Next fire", "next_execution_time"),
    Column("Last", "last_status"),
    Column("Type", "task_type"),
    Column("Enabled", "is_enable"),
    Column("Cron", "task_cron"),
    Column("Description", "description", Shape.TEXT),
)

TASK: Final = (
    Column("ID", "id"),
    Column("Name", "task_name", Shape.TEXT),
    Column("Type", "task_type"),
    Column("Description", "description", Shape.TEXT),
    Column("Enabled", "is_enable"),
    Column("Last status", "last_status"),
    Column("Next fire", "next_execution_time"),
    Column("Cycle", "scheduled_type"),
    Column("Every so many days", "day_interval"),
    Column("Weekdays (1 = Sunday)", "week_list"),
    Column("Months", "month_list"),
    Column("Days of the month", "date_list"),
    Column("Date", "scheduled_date"),
    Column("At", "scheduled_time"),
    Column("Zone", "time_zone"),
    Column("Expires", "expire_time"),
    Column("Enforced", "schedule_task_policy.enforcement_enable"),
    Column("Targets", "target_infos"),
    Column("Created (UTC)", "create_time", Shape.INSTANT),
    Column("Updated (UTC)", "update_time", Shape.INSTANT),
)

FIRES: Final = "future_executions"

_RUNNING: Final = next(
    field.encode_name for field in msgspec.structs.fields(ExecuteHistory) if field.name == "executing_count"
)

EXECUTIONS: Final = (
    Column("ID", "id"),
    Column("Status", "status"),
    Column("Total", "total_count", Shape.NUMBER),
    Column("OK", "success_count", Shape.NUMBER),
    Column("Failed", "failed_count", Shape.NUMBER),
    Column("Running", _RUNNING, Shape.NUMBER),
    Column("Began (UTC)", "begin_time", Shape.INSTANT),
    Column("Ended (UTC)", "end_time", Shape.INSTANT),
    Column("Type", "task_type"),
)

SUBTASKS: Final = (
    Column("Server", "server_id"),
    Column("Status", "status"),
    Column("Name", "server_name", Shape.TEXT),
    Column("Code", "result_code"),
    Column("Message", "result_message", Shape.TEXT),
    Column("Began (UTC)", "begin_time", Shape.INSTANT),
    Column("Ended (UTC)", "end_time", Shape.INSTANT),
    Column("Evidence", "evidence"),
)

SERVERS: Final = (
    Column("ID", "id"),
    Column("Name", "name", Shape.TEXT),
    Column("Under way", "task_status", blank="null"),
    Column("Group", "server_group_name", Shape.TEXT),
    Column("Group ID", "server_group_id"),
    Column("Handle", "machine_name"),
)

GROUPS: Final = (
    Column("ID", "id"),
    Column("Name", "name", Shape.TEXT),
    Column("Servers", "app_server_count", Shape.NUMBER),
)

JOBS: Final = (
    Column("Server", "server_id"),
    Column("Execution", "job_id"),
    Column("Error", "error_code"),
    Column("Message", "error_message", Shape.TEXT),
)

USERS: Final = (
    Column("ID", "id"),
    Column("Name", "name", Shape.TEXT),
    Column("Enabled", "enabled"),
    Column("Description", "description", Shape.TEXT),
)

KEYS: Final = (
    Column("Access key", "access"),
    Column("Status", "status"),
    Column("Created (UTC)", "create_time", Shape.INSTANT),
    Column("User ID", "user_id"),
    Column("Description", "description", Shape.TEXT),
)

NEW_KEY: Final = (
    Column("Access key", "access"),
    Column("Secret key", "secret"),
    Column("User ID", "user_id"),
)

NEW_TEMPORARY_KEY: Final = (
    Column("Access key", "access"),
    Column("Secret key", "secret"),
    Column("Security token", "securitytoken"),
    Column("Expires (UTC)", "expires_at", Shape.INSTANT),
)

USER_GROUPS: Final = (
    Column("ID", "id"),
    Column("Name", "name", Shape.TEXT),
    Column("Description", "description", Shape.TEXT),
)

POLICIES: Final = (
    Column("ID", "id"),
    Column("Name", "display_name", Shape.TEXT),
    Column("Catalogue", "catalog"),
    Column("Description", "description", Shape.TEXT),
)

TOKEN: Final = (
    Column("User", "user.name"),
    Column("Domain", "user.domain.name"),
    Column("Project", "project.name"),
    Column("Project ID", "project.id"),
    Column("Issued (UTC)", "issued_at", Shape.INSTANT),
    Column("Expires (UTC)", "expires_at", Shape.INSTANT),
)


class Standing(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename={"total": "total_count", "succeeded": "success_count", "failed": "failed_count", "running": _RUNNING},
):
    """How far an execution has come: what of a row of execute-history one follows."""

    id: str
    status: Status
    total: int
    succeeded: int
    failed: int
    running: int

    @property
    def is_final(self) -> bool:
        """Whether nothing of it will change any more."""
        return self.status in {Status.SUCCESS, Status.FAILED}


def say_enforcement(enforcement: bool) -> dict[str, bool]:  # noqa: FBT001  (the value itself is what is said)
    """The policy with which a task is to be written."""
    (field,) = msgspec.structs.fields(SchedulePolicy)
    return {field.encode_name: enforcement}
