"""Servers and server groups in the database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fleetcron.domain.fleet import Server, ServerGroup
from fleetcron.domain.task import Target, TargetKind
from fleetcron.store.database import Transaction
from fleetcron.store.rows import Rows

SERVERS = Rows(Server, "servers")
GROUPS = Rows(ServerGroup, "server_groups")

_SERVER = f"SELECT {SERVERS.columns} FROM servers"  # noqa: S608  (names are our own fields)
_GROUP = f"SELECT {GROUPS.columns} FROM server_groups"  # noqa: S608  (the same)
_SERVERS_LISTED = """
    project_id = :project_id
    AND (:server_id IS NULL OR server_id = :server_id)
    AND (:group_id IS NULL OR group_id = :group_id)
    AND (:name IS NULL OR instr(lower(name), lower(:name)) > 0)
"""
_GROUPS_LISTED = """
    project_id = :project_id
    AND (:group_id IS NULL OR group_id = :group_id)
    AND (:name IS NULL OR instr(lower(name), lower(:name)) > 0)
"""


def find_server(tx: Transaction, project_id: str, server_id: str) -> Server | None:
    """The server, if it is in this project."""
    row = tx.execute(f"{_SERVER} WHERE project_id = ? AND server_id = ?", (project_id, server_id)).fetchone()
    return None if row is None else SERVERS.read(row)


def find_group(tx: Transaction, project_id: str, group_id: str) -> ServerGroup | None:
    """The server group, if it is in this project."""
    row = tx.execute(f"{_GROUP} WHERE project_id = ? AND group_id = ?", (project_id, group_id)).fetchone()
    return None if row is None else GROUPS.read(row)


def page_of_servers(
    tx: Transaction,
    project_id: str,
    *,
    server_id: str | None,
    group_id: str | None,
    name: str | None,
    offset: int,
    limit: int,
) -> tuple[int, list[Server]]:
    """How many servers match, and one stretch of them by id; ``name`` matches anywhere."""
    asked = {
        "project_id": project_id,
        "server_id": server_id,
        "group_id": group_id,
        "name": name,
        "offset": offset,
        "limit": limit,
    }
    (count,) = tx.execute(f"SELECT count(*) FROM servers WHERE {_SERVERS_LISTED}", asked).fetchone()  # noqa: S608
    rows = tx.execute(f"{_SERVER} WHERE {_SERVERS_LISTED} ORDER BY server_id LIMIT :limit OFFSET :offset", asked)
    return count, [SERVERS.read(row) for row in rows]


def page_of_groups(
    tx: Transaction, project_id: str, *, group_id: str | None, name: str | None, offset: int, limit: int
) -> tuple[int, list[ServerGroup]]:
    """How many groups match, and one stretch of them by id; ``name`` matches anywhere."""
    asked = {"project_id": project_id, "group_id": group_id, "name": name, "offset": offset, "limit": limit}
    (count,) = tx.execute(f"SELECT count(*) FROM server_groups WHERE {_GROUPS_LISTED}", asked).fetchone()  # noqa: S608
    rows = tx.execute(f"{_GROUP} WHERE {_GROUPS_LISTED} ORDER BY group_id LIMIT :limit OFFSET :offset", asked)
    return count, [GROUPS.read(row) for row in rows]


def size(tx: Transaction, project_id: str, group_id: str) -> int:
    """How many servers stand in the group."""
    count: int = tx.execute(
        "SELECT count(*) FROM servers WHERE project_id = ? AND group_id = ?", (project_id, group_id)
    ).fetchone()[0]
    return count


def members(tx: Transaction, project_id: str, targets: Iterable[Target]) -> dict[Target, Sequence[Server] | None]:
    """The servers behind each target as of now; None for a target that does not exist."""
    return {target: _behind(tx, project_id, target) for target in targets}


def target_names(tx: Transaction, project_id: str, targets: Iterable[Target]) -> dict[Target, str]:
    """The names of those targets that exist."""
    found = {
        target: find_server(tx, project_id, target.target_id)
        if target.kind is TargetKind.SERVER
        else find_group(tx, project_id, target.target_id)
        for target in targets
    }
    return {target: noun.name for target, noun in found.items() if noun is not None}


def replace_inventory(
    tx: Transaction, project_id: str, servers: Iterable[Server], groups: Iterable[ServerGroup]
) -> None:
    """Make the project's inventory what is given; whatever stood there and is not given is gone.

    What stood there before keeps its time of creation.
    """
    known = dict(tx.execute("SELECT server_id, created_at FROM servers WHERE project_id = ?", (project_id,)))
    known_groups = dict(
        tx.execute("SELECT group_id, created_at FROM server_groups WHERE project_id = ?", (project_id,))
    )
    tx.execute("DELETE FROM servers WHERE project_id = ?", (project_id,))
    tx.execute("DELETE FROM server_groups WHERE project_id = ?", (project_id,))
    tx.executemany(GROUPS.insert, [GROUPS.values(group) for group in groups])
    tx.executemany(SERVERS.insert, [SERVERS.values(server) for server in servers])
    keep = "UPDATE {} SET created_at = ? WHERE project_id = ? AND {} = ?"
    tx.executemany(keep.format("servers", "server_id"), [(at, project_id, key) for key, at in known.items()])
    tx.executemany(
        keep.format("server_groups", "group_id"), [(at, project_id, key) for key, at in known_groups.items()]
    )


def _behind(tx: Transaction, project_id: str, target: Target) -> Sequence[Server] | None:
    if target.kind is TargetKind.SERVER:
        server = find_server(tx, project_id, target.target_id)
        return None if server is None else (server,)
    if find_group(tx, project_id, target.target_id) is None:
        return None
    rows = tx.execute(
        f"{_SERVER} WHERE project_id = ? AND group_id = ? ORDER BY server_id", (project_id, target.target_id)
    )
    return [SERVERS.read(row) for row in rows]
