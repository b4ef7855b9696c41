"""The table of operations: what routes, authorisation, OpenAPI and error codes are made from.

Source: overview and per-operation pages of the vendor's API; the IAM actions as its pages print them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fleetcron.domain.access import Permission
from fleetcron.wire import access, audit, executions, fleet, groups, policies, tasks
from fleetcron.wire.fields import Page
from fleetcron.wire.operation import Operation
from fleetcron.wire.schedules import ScheduleFields

_TASKS = "/v1/{project_id}/schedule-task"
_SERVERS = "/v1/{project_id}/app-servers"
_GROUPS = "/v1/{project_id}/app-server-groups"

_FAULTS: Final[Mapping[int, str]] = {
    400: "WKS.00211102",
    401: "APIGW.0301",
    403: "WKS.00081102",
    404: "WKS.00211902",
    405: "WKS.00000405",
    429: "APIGW.0308",
    500: "WKS.00211401",
    503: "WKS.00050902",
}
_WITH_BODY: Final[Mapping[int, str]] = {**_FAULTS, 413: "APIGW.0201", 415: "WKS.00000415"}
_WITH_CONFLICT: Final[Mapping[int, str]] = {**_FAULTS, 409: "WKS.00211103"}
# The two execute-* queries document the generic error.
_OF_HISTORY: Final[Mapping[int, str]] = {**_FAULTS, 400: "WKS.00169901"}

TASK_OPERATIONS: Final = (
    Operation(
        id="ListScheduleTasks",
        method="GET",
        path=_TASKS,
        summary="Queries scheduled tasks.",
        tag="Scheduled tasks",
        permission=Permission.LIST_TASKS,
        query=tasks.ListQuery,
        answer=tasks.TaskList,
        faults=_FAULTS,
    ),
    Operation(
        id="CreateScheduleTask",
        method="POST",
        path=_TASKS,
        summary="Creates a scheduled task.",
        tag="Scheduled tasks",
        permission=Permission.CREATE_TASK,
        body=tasks.CreateTask,
        answer=tasks.ScheduleTask,
        faults=_WITH_BODY,
    ),
    Operation(
        id="ShowScheduleTask",
        method="GET",
        path=_TASKS + "/{task_id}",
        summary="Queries the details of a scheduled task.",
        tag="Scheduled tasks",
        permission=Permission.SHOW_TASK,
        answer=tasks.TaskShown,
        faults=_FAULTS,
    ),
    Operation(
        id="UpdateScheduleTask",
        method="PATCH",
        path=_TASKS + "/{task_id}",
        summary="Updates a scheduled task: what is absent stays, an empty text clears.",
        tag="Scheduled tasks",
        permission=Permission.UPDATE_TASK,
        body=tasks.UpdateTask,
        answer=tasks.ScheduleTask,
        faults=_WITH_BODY,
    ),
    Operation(
        id="DeleteScheduleTask",
        method="DELETE",
        path=_TASKS + "/{task_id}",
        summary="Deletes a scheduled task; one that does not exist is as good as deleted.",
        tag="Scheduled tasks",
        permission=Permission.DELETE_TASK,
        faults=_WITH_CONFLICT,
    ),
    Operation(
        id="BatchDeleteScheduleTask",
        method="POST",
        path=_TASKS + "/actions/batch-delete",
        summary="Deletes scheduled tasks; ids that do not exist are passed over.",
        tag="Scheduled tasks",
        permission=Permission.DELETE_TASKS,
        body=tasks.BatchDelete,
        faults=_WITH_BODY,
    ),
    Operation(
        id="ListFutureExecutions",
        method="POST",
        path=_TASKS + "/future-executions",
        summary="Queries the next execution times of a schedule, five at most.",
        tag="Scheduled tasks",
        permission=Permission.PREVIEW_FIRES,
        body=ScheduleFields,
        answer=tasks.FutureExecutions,
        faults=_WITH_BODY,
    ),
    Operation(
        id="ListTaskExecuteHistory",
        method="GET",
        path=_TASKS + "/{task_id}/execute-history",
        summary="Queries scheduled task execution, newest first.",
        tag="Scheduled tasks",
        permission=Permission.LIST_EXECUTIONS,
        query=Page,
        answer=executions.ExecuteHistoryList,
        faults=_OF_HISTORY,
    ),
    Operation(
        id="ListTaskExecuteDetail",
        method="GET",
        path=_TASKS + "/{execute_history_id}/execute-detail",
        summary="Queries the subtasks of a scheduled task execution.",
        tag="Scheduled tasks",
        permission=Permission.SHOW_EXECUTION,
        query=Page,
        answer=executions.ExecuteDetailList,
        faults=_OF_HISTORY,
    ),
)

OWN_OPERATIONS: Final = (
    # Ours, in the manner of the family: the vendor cannot cancel, and has no action that would allow it.
    Operation(
        id="CancelTaskExecution",
        method="POST",
        path=_TASKS + "/{task_id}/execute-history/{execute_history_id}/cancel",
        summary="Cancels a scheduled task execution: what has not begun will not begin (an addition of fleetcron).",
        tag="Scheduled tasks",
        permission=Permission.UPDATE_TASK,
        faults=_WITH_CONFLICT,
    ),
)

FLEET_OPERATIONS: Final = (
    Operation(
        id="ListServers",
        method="GET",
        path=_SERVERS,
        summary="Queries servers.",
        tag="Servers",
        permission=Permission.LIST_SERVERS,
        query=fleet.ServerQuery,
        answer=fleet.AppServerList,
        faults=_FAULTS,
    ),
    Operation(
        id="ShowServer",
        method="GET",
        path=_SERVERS + "/{server_id}",
        summary="Queries the details of a server.",
        tag="Servers",
        permission=Permission.SHOW_SERVER,
        answer=fleet.AppServer,
        faults=_FAULTS,
    ),
    Operation(
        id="ListServerGroups",
        method="GET",
        path=_GROUPS,
        summary="Queries server groups.",
        tag="Servers",
        permission=Permission.LIST_GROUPS,
        query=fleet.GroupQuery,
        answer=fleet.AppServerGroupList,
        faults=_FAULTS,
    ),
    Operation(
        id="ShowServerGroup",
        method="GET",
        path=_GROUPS + "/{server_group_id}",
        summary="Queries the details of a server group.",
        tag="Servers",
        permission=Permission.SHOW_GROUP,
        answer=fleet.AppServerGroup,
        faults=_FAULTS,
    ),
    Operation(
        id="BatchStartServer",
        method="PATCH",
        path=_SERVERS + "/actions/batch-start",
        summary="Starts servers at once.",
        tag="Servers",
        permission=Permission.START_SERVERS,
        body=fleet.BatchStart,
        faults=_WITH_BODY,
    ),
    Operation(
        id="BatchStopServer",
        method="PATCH",
        path=_SERVERS + "/actions/batch-stop",
        summary="Stops servers at once.",
        tag="Servers",
        permission=Permission.STOP_SERVERS,
        body=fleet.BatchStop,
        faults=_WITH_BODY,
    ),
    Operation(
        id="BatchRebootServer",
        method="PATCH",
        path=_SERVERS + "/actions/batch-reboot",
        summary="Restarts servers at once.",
        tag="Servers",
        permission=Permission.RESTART_SERVERS,
        body=fleet.BatchStop,
        faults=_WITH_BODY,
    ),
    Operation(
        id="BatchReinstallServer",
        method="POST",
        path=_SERVERS + "/actions/batch-reinstall",
        summary="Reinstalls servers at once.",
        tag="Servers",
        permission=Permission.REINSTALL_SERVERS,
        body=fleet.BatchReinstall,
        answer=fleet.ServerJobs,
        faults=_WITH_BODY,
    ),
    Operation(
        id="ReinstallServer",
        method="POST",
        path=_SERVERS + "/{server_id}/actions/reinstall",
        summary="Reinstalls a server at once.",
        tag="Servers",
        permission=Permission.REINSTALL_SERVERS,
        body=fleet.Reinstall,
        answer=fleet.Job,
        faults=_WITH_BODY,
    ),
)

OPERATIONS: Final = (
    *TASK_OPERATIONS,
    *OWN_OPERATIONS,
    *FLEET_OPERATIONS,
    *access.OPERATIONS,
    *groups.OPERATIONS,
    *policies.OPERATIONS,
    *audit.OPERATIONS,
)
