"""What the operations of tasks, history and servers do: read from the wire, ask control, say it on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from fleetcron.domain.task import TaskType
from fleetcron.web.call import Answer, Call, Deed
from fleetcron.wire import executions, fleet, tasks
from fleetcron.wire.schedules import rule_of

_encode = msgspec.json.Encoder().encode


def list_tasks(call: Call) -> Answer:
    """A page of tasks."""
    query: tasks.ListQuery = call.query
    count, found = call.ground.tasks.page(
        call.asker,
        call.project_id,
        name=query.task_name or None,
        task_type=query.task_type or None,
        offset=query.offset,
        limit=query.limit,
    )
    items = [tasks.say_task(one.task, one.latest) for one in found]
    return Answer(body=_encode({"count": count, "items": items}))


def create_task(call: Call) -> Answer:
    """A new task."""
    draft = tasks.draft_of(call.body, default_zone=call.ground.default_zone)
    made = call.ground.tasks.create(call.asker, call.project_id, draft, call.now)
    return Answer(body=_encode(tasks.say_task(made.task, made.latest)))


def show_task(call: Call) -> Answer:
    """One task with its targets."""
    task, names = call.ground.tasks.show(call.asker, call.project_id, call.path["task_id"])
    return Answer(body=_encode(tasks.say_task_shown(task, names)))


def update_task(call: Call) -> Answer:
    """A task made different."""
    change = tasks.change_of(call.body, default_zone=call.ground.default_zone)
    made = call.ground.tasks.update(call.asker, call.project_id, call.path["task_id"], change, call.now)
    return Answer(body=_encode(tasks.say_task(made.task, made.latest)))


def delete_task(call: Call) -> Answer:
    """One task gone."""
    call.ground.tasks.delete(call.asker, call.project_id, call.path["task_id"], call.now)
    return Answer()


def delete_tasks(call: Call) -> Answer:
    """Some tasks gone."""
    task_ids = fleet.unique("items", call.body.items)
    call.ground.tasks.delete_many(call.asker, call.project_id, task_ids, call.now)
    return Answer()


def preview_fires(call: Call) -> Answer:
    """The next fires of a schedule."""
    rule = rule_of(call.body, default_zone=call.ground.default_zone)
    fires = call.ground.tasks.preview(call.asker, call.project_id, rule, call.now)
    return Answer(body=_encode(tasks.say_preview(fires, rule)))


def list_executions(call: Call) -> Answer:
    """A page of a task's history."""
    count, items = call.ground.history.executions(
        call.asker, call.project_id, call.path["task_id"], offset=call.query.offset, limit=call.query.limit
    )
    return Answer(body=executions.history_page(count, items))


def list_subtasks(call: Call) -> Answer:
    """A page of an execution's subtasks."""
    execution, items = call.ground.history.subtasks(
        call.asker, call.project_id, call.path[executions.PATH_ID], offset=call.query.offset, limit=call.query.limit
    )
    return Answer(body=executions.detail_page(execution, items))


def cancel_execution(call: Call) -> Answer:
    """An execution of which nothing more begins."""
    call.ground.history.cancel(
        call.asker, call.project_id, call.path["task_id"], call.path[executions.PATH_ID], call.now
    )
    return Answer()


def list_servers(call: Call) -> Answer:
    """A page of servers."""
    query: fleet.ServerQuery = call.query
    count, found = call.ground.fleet.servers(
        call.asker,
        call.project_id,
        server_id=query.server_id or None,
        group_id=query.server_group_id or None,
        name=query.server_name or None,
        offset=query.offset,
        limit=query.limit,
    )
    items = [fleet.say_server(one.server, one.group_name, one.live) for one in found]
    return Answer(body=_encode({"count": count, "items": items}))


def show_server(call: Call) -> Answer:
    """One server."""
    seen = call.ground.fleet.server(call.asker, call.project_id, call.path["server_id"])
    return Answer(body=_encode(fleet.say_server(seen.server, seen.group_name, seen.live)))


def list_groups(call: Call) -> Answer:
    """A page of server groups."""
    query: fleet.GroupQuery = call.query
    count, found = call.ground.fleet.groups(
        call.asker,
        call.project_id,
        group_id=query.server_group_id or None,
        name=query.server_group_name or None,
        offset=query.offset,
        limit=query.limit,
    )
    items = [fleet.say_group(one.group, one.server_count) for one in found]
    return Answer(body=_encode({"count": count, "items": items}))


def show_group(call: Call) -> Answer:
    """One server group."""
    sized = call.ground.fleet.group(call.asker, call.project_id, call.path["server_group_id"])
    return Answer(body=_encode(fleet.say_group(sized.group, sized.server_count)))


def start_servers(call: Call) -> Answer:
    """Servers started at once."""
    _act(call, TaskType.START_SERVER, enforcement=False)
    return Answer()


def stop_servers(call: Call) -> Answer:
    """Servers stopped at once."""
    _act(call, TaskType.STOP_SERVER, enforcement=call.body.type is fleet.Force.HARD)
    return Answer()


def restart_servers(call: Call) -> Answer:
    """Servers restarted at once."""
    _act(call, TaskType.RESTART_SERVER, enforcement=call.body.type is fleet.Force.HARD)
    return Answer()


def reinstall_servers(call: Call) -> Answer:
    """Servers reinstalled at once; those that do not exist are told apart."""
    server_ids = fleet.unique("server_ids", call.body.server_ids)
    rooms = call.ground.fleet
    missing = rooms.missing(call.asker, call.project_id, TaskType.REINSTALL_OS, server_ids)
    there = [key for key in server_ids if key not in missing]
    execution_id = (
        rooms.act(call.asker, call.project_id, TaskType.REINSTALL_OS, there, enforcement=False, now=call.now)
        if there
        else None
    )
    return Answer(body=_encode(fleet.say_jobs(server_ids, missing, execution_id)))


def reinstall_server(call: Call) -> Answer:
    """One server reinstalled at once."""
    execution_id = call.ground.fleet.act(
        call.asker, call.project_id, TaskType.REINSTALL_OS, [call.path["server_id"]], enforcement=False, now=call.now
    )
    return Answer(body=_encode({"job_id": execution_id}))


DEEDS: Final[Mapping[str, Deed]] = {
    "ListScheduleTasks": list_tasks,
    "CreateScheduleTask": create_task,
    "ShowScheduleTask": show_task,
    "UpdateScheduleTask": update_task,
    "DeleteScheduleTask": delete_task,
    "BatchDeleteScheduleTask": delete_tasks,
    "ListFutureExecutions": preview_fires,
    "ListTaskExecuteHistory": list_executions,
    "ListTaskExecuteDetail": list_subtasks,
    "CancelTaskExecution": cancel_execution,
    "ListServers": list_servers,
    "ShowServer": show_server,
    "ListServerGroups": list_groups,
    "ShowServerGroup": show_group,
    "BatchStartServer": start_servers,
    "BatchStopServer": stop_servers,
    "BatchRebootServer": restart_servers,
    "BatchReinstallServer": reinstall_servers,
    "ReinstallServer": reinstall_server,
}


def _act(call: Call, task_type: TaskType, *, enforcement: bool) -> None:
    call.ground.fleet.act(
        call.asker,
        call.project_id,
        task_type,
        fleet.unique("items", call.body.items),
        enforcement=enforcement,
        now=call.now,
    )
