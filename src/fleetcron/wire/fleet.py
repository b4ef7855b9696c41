"""Servers and server groups in the vendor's words, and the operations on them at once.

Source: ListServers, ListServerGroups and the batch actions of the vendor's OpenAPI; only what fleetcron knows is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, TypedDict

import msgspec
from msgspec import Meta

from fleetcron.domain.fleet import Server, ServerGroup
from fleetcron.domain.task import TaskType
from fleetcron.errors import Invalid
from fleetcron.wire.fields import AnyCase, Id, Page
from fleetcron.wire.schedules import say_instant

BATCH_MAX = 20
REINSTALL_BATCH_MAX = 50
NOT_FOUND: Final = "WKS.00211902"

Filter = Annotated[str, Meta(max_length=128)]

# What is being done to a server, as its task_status; the vendor's idle example is this very text.
_BUSY: Final = {
    TaskType.START_SERVER: "powering-on",
    TaskType.STOP_SERVER: "powering-off",
    TaskType.RESTART_SERVER: "rebooting",
    TaskType.REINSTALL_OS: "rebuilding",
}
_IDLE: Final = "null"


class ServerQuery(Page, frozen=True, kw_only=True):
    """Which servers: names match anywhere, ids exactly."""

    server_group_id: Filter = ""
    server_name: Filter = ""
    server_id: Filter = ""


class GroupQuery(Page, frozen=True, kw_only=True):
    """Which groups: the name matches anywhere, the id exactly."""

    server_group_id: Filter = ""
    server_group_name: Filter = ""


class Force(AnyCase):
    """SOFT asks the server to come down and leaves it alone while people use it; HARD does neither."""

    SOFT = "SOFT"
    HARD = "HARD"


class BatchStart(msgspec.Struct, frozen=True, kw_only=True):
    """The servers to start."""

    items: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=BATCH_MAX)]


class BatchStop(msgspec.Struct, frozen=True, kw_only=True):
    """The servers to stop or to reboot, and how."""

    items: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=BATCH_MAX)]
    type: Force = Force.SOFT


class Reinstall(msgspec.Struct, frozen=True, kw_only=True):
    """How to reinstall one server; there is no agent of ours to update, so the flag is read and has no effect."""

    update_access_agent: bool = False


class BatchReinstall(Reinstall, frozen=True, kw_only=True):
    """The servers to reinstall."""

    server_ids: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=REINSTALL_BATCH_MAX)]


class AppServer(TypedDict):
    """One server."""

    id: str
    name: str
    machine_name: str
    server_group_id: str | None
    server_group_name: str | None
    task_status: str
    create_time: str | None
    update_time: str | None


class AppServerList(TypedDict):
    """A page of servers; ``count`` is the number of all that match."""

    count: int
    items: list[AppServer]


class AppServerGroup(TypedDict):
    """One server group."""

    id: str
    name: str
    app_server_count: int
    create_time: str | None
    update_time: str | None


class AppServerGroupList(TypedDict):
    """A page of groups; ``count`` is the number of all that match."""

    count: int
    items: list[AppServerGroup]


class Job(TypedDict):
    """The execution that carries the operation out: its id is also good for execute-detail."""

    job_id: str


class ServerJob(TypedDict):
    """How one server of a batch fared: a job, or an error."""

    server_id: str
    job_id: str | None
    error_code: str | None
    error_message: str | None


class ServerJobs(TypedDict):
    """How each server of a batch fared, in the order asked."""

    items: list[ServerJob]


def say_server(server: Server, group_name: str | None, live: TaskType | None) -> AppServer:
    """The server, with what is being done to it."""
    return {
        "id": server.server_id,
        "name": server.name,
        "machine_name": server.handle,
        "server_group_id": server.group_id,
        "server_group_name": group_name,
        "task_status": _IDLE if live is None else _BUSY[live],
        "create_time": say_instant(server.created_at),
        "update_time": say_instant(server.updated_at),
    }


def say_group(group: ServerGroup, server_count: int) -> AppServerGroup:
    """The group, with the number of its servers."""
    return {
        "id": group.group_id,
        "name": group.name,
        "app_server_count": server_count,
        "create_time": say_instant(group.created_at),
        "update_time": say_instant(group.updated_at),
    }


def say_jobs(server_ids: Sequence[str], missing: Sequence[str], execution_id: str | None) -> ServerJobs:
    """How each server fared: the ``missing`` ones have an error, the others share one execution."""
    return {
        "items": [
            {
                "server_id": key,
                "job_id": None if key in missing else execution_id,
                "error_code": NOT_FOUND if key in missing else None,
                "error_message": f"The server {key} does not exist." if key in missing else None,
            }
            for key in server_ids
        ]
    }


def unique(field: str, server_ids: Sequence[str]) -> list[str]:
    """The ids as a list.

    Raises:
        Invalid: an id stands twice.
    """
    if len(set(server_ids)) < len(server_ids):
        raise Invalid(field, "must not repeat an id")
    return list(server_ids)
