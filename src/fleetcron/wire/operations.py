"""The table of operations: what routes, authorisation, OpenAPI and error codes are made from.

Source: overview and per-operation pages of the vendor's API; the IAM actions as its pages print them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fleetcron.domain.access import Permission
from fleetcron.wire import access, executions, fleet, tasks
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
        action="workspace:scheduledTasks:list",
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
        action="workspace:scheduledTasks:create",
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
        action="workspace:scheduledTasks:get",
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
        action="workspace:scheduledTasks:update",
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
        action="workspace:scheduledTasks:delete",
        faults=_WITH_CONFLICT,
    ),
    Operation(
        id="BatchDeleteScheduleTask",
        method="POST",
        path=_TASKS + "/actions/batch-delete",
        summary="Deletes scheduled tasks; ids that do not exist are passed over.",
        tag="Scheduled tasks",
        permission=Permission.DELETE_TASKS,
        action="workspace:scheduledTasks:batchDelete",
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
        action="workspace:scheduledTasks:getFuture",
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
        action="workspace:scheduledTasks:listRecords",
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
        action="workspace:scheduledTasks:getRecord",
        query=Page,
        answer=executions.ExecuteDetailList,
        faults=_OF_HISTORY,
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
        action="workspace:server:list",
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
        action="workspace:server:get",
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
        action="workspace:serverGroup:list",
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
        action="workspace:serverGroup:get",
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
        action="workspace:server:batchStart",
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
        action="workspace:server:batchStop",
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
        action="workspace:server:batchReboot",
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
        action="workspace:server:batchReinstall",
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
        action="workspace:server:reinstall",
        body=fleet.Reinstall,
        answer=fleet.Job,
        faults=_WITH_BODY,
    ),
)

OPERATIONS: Final = (*TASK_OPERATIONS, *FLEET_OPERATIONS, *access.OPERATIONS)
