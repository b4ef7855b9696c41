"""What people ask of servers: to see them, and to have them operated on at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from fleetcron.control.authorisation import EVERY, SERVER, SERVER_GROUP, authorise
from fleetcron.domain.access import Caller, Permission
from fleetcron.domain.execution import plan
from fleetcron.domain.fleet import Server, ServerGroup
from fleetcron.domain.schedule import Cycle, Rule
from fleetcron.domain.task import LateLimits, Target, TargetKind, Task, TaskType
from fleetcron.errors import NotFound
from fleetcron.store import executions, fleet, subtasks, tasks
from fleetcron.store.database import Database, Transaction

_PERMISSIONS = {
    TaskType.START_SERVER: Permission.START_SERVERS,
    TaskType.STOP_SERVER: Permission.STOP_SERVERS,
    TaskType.RESTART_SERVER: Permission.RESTART_SERVERS,
    TaskType.REINSTALL_OS: Permission.REINSTALL_SERVERS,
}


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A server with the name of its group and what is being done to it, if anything."""

    server: Server
    group_name: str | None
    live: TaskType | None


class Sized(msgspec.Struct, frozen=True, kw_only=True):
    """A server group with the number of servers in it."""

    group: ServerGroup
    server_count: int


class Fleet:
    """The use cases of servers. Every one raises ``Forbidden`` when the caller may not."""

    def __init__(
        self, database: Database, *, late_limits: LateLimits, new_id: Callable[[], str], wake: Callable[[], None]
    ) -> None:
        self._database = database
        self._late_limits = late_limits
        self._new_id = new_id
        self._wake = wake

    def servers(
        self,
        caller: Caller,
        project_id: str,
        *,
        server_id: str | None,
        group_id: str | None,
        name: str | None,
        offset: int,
        limit: int,
    ) -> tuple[int, list[Seen]]:
        """How many servers match, and one stretch of them by id; ``name`` matches anywhere."""
        with self._database.snapshot() as tx:
            authorise(tx, caller, Permission.LIST_SERVERS, project_id, (SERVER, EVERY))
            count, found = fleet.page_of_servers(
                tx, project_id, server_id=server_id, group_id=group_id, name=name, offset=offset, limit=limit
            )
            return count, [_seen(tx, server) for server in found]

    def server(self, caller: Caller, project_id: str, server_id: str) -> Seen:
        """One server.

        Raises:
            NotFound: the project has no such server.
        """
        with self._database.snapshot() as tx:
            authorise(tx, caller, Permission.SHOW_SERVER, project_id, (SERVER, server_id))
            server = fleet.find_server(tx, project_id, server_id)
            if server is None:
                raise NotFound("server", server_id)
            return _seen(tx, server)

    def groups(
        self, caller: Caller, project_id: str, *, group_id: str | None, name: str | None, offset: int, limit: int
    ) -> tuple[int, list[Sized]]:
        """How many groups match, and one stretch of them by id; ``name`` matches anywhere."""
        with self._database.snapshot() as tx:
            authorise(tx, caller, Permission.LIST_GROUPS, project_id, (SERVER_GROUP, EVERY))
            count, found = fleet.page_of_groups(
                tx, project_id, group_id=group_id, name=name, offset=offset, limit=limit
            )
            return count, [_sized(tx, group) for group in found]

    def group(self, caller: Caller, project_id: str, group_id: str) -> Sized:
        """One group.

        Raises:
            NotFound: the project has no such group.
        """
        with self._database.snapshot() as tx:
            authorise(tx, caller, Permission.SHOW_GROUP, project_id, (SERVER_GROUP, group_id))
            group = fleet.find_group(tx, project_id, group_id)
            if group is None:
                raise NotFound("server group", group_id)
            return _sized(tx, group)

    def act(
        self,
        caller: Caller,
        project_id: str,
        task_type: TaskType,
        server_ids: Sequence[str],
        *,
        enforcement: bool,
        now: datetime,
    ) -> str:
        """Record an execution on these servers that is due at once, and return its id.

        Raises:
            NotFound: one of the servers does not exist; then nothing is recorded.
        """
        with self._database.transaction() as tx:
            authorise(tx, caller, _PERMISSIONS[task_type], project_id, *((SERVER, key) for key in server_ids))
            task = self._immediate(project_id, task_type, server_ids, enforcement=enforcement, now=now)
            members = fleet.members(tx, project_id, task.targets)
            for target, servers in members.items():
                if servers is None:
                    raise NotFound("server", target.target_id)
            execution, shares = plan(
                task,
                execution_id=self._new_id(),
                fire_at=now,
                start_until=self._late_limits.start_until(task_type, now),
                now=now,
                members=members,
            )
            tasks.insert(tx, msgspec.structs.replace(task, last_ordinal=execution.ordinal))
            executions.insert(tx, [execution])
            subtasks.insert(tx, shares)
        self._wake()
        return execution.execution_id

    def missing(self, caller: Caller, project_id: str, task_type: TaskType, server_ids: Sequence[str]) -> list[str]:
        """Those of these ids that are no server's, asked by a caller who may do this to servers."""
        with self._database.snapshot() as tx:
            authorise(tx, caller, _PERMISSIONS[task_type], project_id, *((SERVER, key) for key in server_ids))
            return [key for key in server_ids if fleet.find_server(tx, project_id, key) is None]

    def _immediate(
        self, project_id: str, task_type: TaskType, server_ids: Sequence[str], *, enforcement: bool, now: datetime
    ) -> Task:
        """A task that is born deleted: no list shows it and no clock fires it.

        Its execution is recorded, dispatched and kept like any other.
        """
        return Task(
            task_id=self._new_id(),
            project_id=project_id,
            name=f"immediate-{task_type}",
            task_type=task_type,
            rule=Rule(cycle=Cycle.ONCE, zone="UTC", on_date=now.date(), at=now.time().replace(microsecond=0)),
            targets=tuple(Target(kind=TargetKind.SERVER, target_id=key) for key in dict.fromkeys(server_ids)),
            enforcement=enforcement,
            description=None,
            enabled=False,
            anchor=None,
            next_fire_at=None,
            first_ordinal=1,
            last_ordinal=0,
            created_at=now,
            updated_at=now,
            deleted_at=now,
        )


def _seen(tx: Transaction, server: Server) -> Seen:
    group = None if server.group_id is None else fleet.find_group(tx, server.project_id, server.group_id)
    return Seen(
        server=server,
        group_name=None if group is None else group.name,
        live=subtasks.live_on(tx, server.endpoint, server.handle),
    )


def _sized(tx: Transaction, group: ServerGroup) -> Sized:
    return Sized(group=group, server_count=fleet.size(tx, group.project_id, group.group_id))
