"""The fleet file: endpoints, groups and servers as an operator writes them in TOML."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from fleetcron.assembly.written import read_toml
from fleetcron.domain.fleet import Endpoint, Server, ServerGroup
from fleetcron.errors import BadSettings

SERVERS_MAX = 100_000
KEY_LENGTH_MAX = 128

Key = Annotated[str, Meta(min_length=1, max_length=KEY_LENGTH_MAX)]


class WrittenGroup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ``[[groups]]``."""

    id: Key
    name: Key


class WrittenServer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ``[[servers]]``; with ``count`` so many of them, and ``{n}`` in id, name and handle stands for 1, 2, 3."""

    id: Key
    endpoint: Key
    name: Key | None = None
    handle: Key | None = None
    group: Key | None = None
    count: Annotated[int, Meta(ge=1, le=SERVERS_MAX)] | None = None


class Written(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    endpoints: tuple[Endpoint, ...] = ()
    groups: tuple[WrittenGroup, ...] = ()
    servers: tuple[WrittenServer, ...] = ()


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    """What the file says, for one project."""

    endpoints: tuple[Endpoint, ...] = ()
    groups: tuple[ServerGroup, ...] = ()
    servers: tuple[Server, ...] = ()


def read(path: Path, *, project_id: str, now: datetime) -> Inventory:
    """Read a fleet file.

    Raises:
        BadSettings: it cannot be read, holds an unknown key or a wrong value, names an endpoint or group that it does
            not describe, or says something twice; names the place.
    """
    written = read_toml(path, Written)
    groups = tuple(
        ServerGroup(group_id=group.id, project_id=project_id, name=group.name, created_at=now, updated_at=now)
        for group in written.groups
    )
    servers = tuple(_server(one, project_id, now) for many in written.servers for one in _each(path, many))
    inventory = Inventory(endpoints=written.endpoints, groups=groups, servers=servers)
    _check(path, inventory)
    return inventory


def _each(path: Path, many: WrittenServer) -> Iterator[WrittenServer]:
    """The servers that one entry describes."""
    for n in range(1, (many.count or 1) + 1):
        try:
            id_, name, handle = (
                text if many.count is None or text is None else text.format(n=n)
                for text in (many.id, many.name, many.handle)
            )
        except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
            raise BadSettings(str(path), f"server {many.id}: only {{n}} may stand in braces") from error
        if max(len(text or "") for text in (id_, name, handle)) > KEY_LENGTH_MAX:
            raise BadSettings(
                str(path), f"server {many.id}: id, name and handle have at most {KEY_LENGTH_MAX} characters"
            )
        yield msgspec.structs.replace(many, id=id_, name=name, handle=handle)


def _server(one: WrittenServer, project_id: str, now: datetime) -> Server:
    return Server(
        server_id=one.id,
        project_id=project_id,
        name=one.name or one.id,
        group_id=one.group,
        endpoint=one.endpoint,
        handle=one.handle or one.id,
        created_at=now,
        updated_at=now,
    )


def _check(path: Path, inventory: Inventory) -> None:
    endpoints = [endpoint.name for endpoint in inventory.endpoints]
    groups = [group.group_id for group in inventory.groups]
    _once(path, "endpoint", endpoints)
    _once(path, "group", groups)
    _once(path, "server", [server.server_id for server in inventory.servers])
    # One machine under two names could be restarted by both at once.
    _once(path, "handle", [f"{server.handle} at {server.endpoint}" for server in inventory.servers])
    for server in inventory.servers:
        if server.endpoint not in endpoints:
            raise BadSettings(str(path), f"server {server.server_id}: there is no endpoint {server.endpoint!r}")
        if server.group_id is not None and server.group_id not in groups:
            raise BadSettings(str(path), f"server {server.server_id}: there is no group {server.group_id!r}")


def _once(path: Path, noun: str, keys: list[str]) -> None:
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            raise BadSettings(str(path), f"{noun} {key} is there twice")
        seen.add(key)
