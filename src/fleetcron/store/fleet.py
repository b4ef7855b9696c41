"""Servers and server groups in the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from fleetcron.domain.fleet import Reach, Server, ServerGroup
from fleetcron.domain.task import Target, TargetKind
from fleetcron.store.database import Transaction
from fleetcron.store.rows import Noun, Rows, containing, json_of

SERVERS = Rows(Server, "servers")
GROUPS = Rows(ServerGroup, "server_groups")
ENDPOINTS = Rows(Reach, "endpoints")

# Two nodes that start together read the same file; the second finds what the first has written, not half of it.
_TURN = "inventory"

_SERVER = f"SELECT {SERVERS.columns} FROM servers"  # noqa: S608  (names are our own fields)
_GROUP = f"SELECT {GROUPS.columns} FROM server_groups"  # noqa: S608  (the same)
_SERVERS_LISTED = """
    project_id = :project_id
    AND (CAST(:server_id AS TEXT) IS NULL OR server_id = :server_id)
    AND (CAST(:group_id AS TEXT) IS NULL OR group_id = :group_id)
    AND (CAST(:name AS TEXT) IS NULL OR lower(name) LIKE :name ESCAPE '\\')
"""
_GROUPS_LISTED = """
    project_id = :project_id
    AND (CAST(:group_id AS TEXT) IS NULL OR group_id = :group_id)
    AND (CAST(:name AS TEXT) IS NULL OR lower(name) LIKE :name ESCAPE '\\')
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
        "name": None if name is None else containing(name),
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
    asked = {
        "project_id": project_id,
        "group_id": group_id,
        "name": None if name is None else containing(name),
        "offset": offset,
        "limit": limit,
    }
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
    wanted = list(targets)
    alone = _alone(tx, project_id, [one.target_id for one in wanted if one.kind is TargetKind.SERVER])
    groups = _in_groups(tx, project_id, [one.target_id for one in wanted if one.kind is TargetKind.SERVER_GROUP])
    return {one: (alone if one.kind is TargetKind.SERVER else groups).get(one.target_id) for one in wanted}


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
    tx.take_turn(_TURN)
    _replace(tx, SERVERS, project_id, servers)
    _replace(tx, GROUPS, project_id, groups)


def endpoints(tx: Transaction) -> list[Reach]:
    """Every endpoint by name."""
    return [ENDPOINTS.read(row) for row in tx.execute(f"SELECT {ENDPOINTS.columns} FROM endpoints ORDER BY name")]  # noqa: S608  (the same)


def replace_endpoints(tx: Transaction, reaches: Iterable[Reach]) -> None:
    """Make the endpoints what is given; one that stood there and is not given is gone."""
    tx.take_turn(_TURN)
    tx.execute("DELETE FROM endpoints")
    tx.executemany(ENDPOINTS.insert, [ENDPOINTS.values(reach) for reach in reaches])


def _replace(tx: Transaction, rows: Rows[Noun], project_id: str, nouns: Iterable[Noun]) -> None:
    """Make a project's rows of one table, whose first column is their id, what is given."""
    key, at = rows.names[0], rows.names.index("created_at")
    known = dict(tx.execute(f"SELECT {key}, created_at FROM {rows.table} WHERE project_id = ?", (project_id,)))  # noqa: S608  (names are our own fields)
    tx.execute(f"DELETE FROM {rows.table} WHERE project_id = ?", (project_id,))  # noqa: S608  (the same)
    new = [rows.values(noun) for noun in nouns]
    tx.executemany(rows.insert, [(*row[:at], known.get(row[0], row[at]), *row[at + 1 :]) for row in new])


def _alone(tx: Transaction, project_id: str, server_ids: Sequence[str]) -> Mapping[str, Sequence[Server]]:
    """Each of these servers that exists."""
    rows = tx.execute(
        f"{_SERVER} WHERE project_id = ? AND server_id IN (SELECT value ->> 0 FROM json_each(?))",  # noqa: S608  (the same)
        (project_id, json_of([[server_id] for server_id in server_ids])),
    ).fetchall()
    return {server.server_id: (server,) for server in map(SERVERS.read, rows)}


def _in_groups(tx: Transaction, project_id: str, group_ids: Sequence[str]) -> Mapping[str, Sequence[Server]]:
    """The servers in each of these groups that exists, by their ids."""
    found: dict[str, list[Server]] = {}
    for group_id in group_ids:
        if find_group(tx, project_id, group_id) is None:
            continue
        rows = tx.execute(f"{_SERVER} WHERE project_id = ? AND group_id = ? ORDER BY server_id", (project_id, group_id))
        found[group_id] = [SERVERS.read(row) for row in rows]
    return found
