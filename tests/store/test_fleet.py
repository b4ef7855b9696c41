"""Servers and server groups in the database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from builders import a_group, a_server, a_target, after
from fleetcron.domain.fleet import Endpoint, Reach
from fleetcron.domain.task import TargetKind
from fleetcron.errors import Constrained
from fleetcron.store import fleet
from fleetcron.store.database import Database, Transaction

GROUP = TargetKind.SERVER_GROUP


@pytest.fixture
def tx(database: Database) -> Iterator[Transaction]:
    """A transaction in which p1 has s1 to s3, the first two in g1, and an empty g2; p2 has s1 and g1 of its own."""
    with database.transaction() as tx:
        fleet.replace_inventory(
            tx,
            "p1",
            [a_server(1, group_id="g1"), a_server(2, group_id="g1"), a_server(3)],
            [a_group("g1"), a_group("g2")],
        )
        fleet.replace_inventory(
            tx,
            "p2",
            [a_server(1, project_id="p2", endpoint="far", group_id="g1")],
            [a_group("g1", project_id="p2")],
        )
        yield tx


def servers(
    tx: Transaction,
    *,
    server_id: str | None = None,
    group_id: str | None = None,
    name: str | None = None,
    offset: int = 0,
    limit: int = 100,
) -> tuple[int, list[str]]:
    count, found = fleet.page_of_servers(
        tx, "p1", server_id=server_id, group_id=group_id, name=name, offset=offset, limit=limit
    )
    return count, [server.server_id for server in found]


def test_what_was_written_is_found_in_its_own_project(tx: Transaction) -> None:
    assert fleet.find_server(tx, "p1", "s1") == a_server(1, group_id="g1")
    assert fleet.find_server(tx, "p2", "s3") is None
    assert fleet.find_group(tx, "p2", "g1") == a_group("g1", project_id="p2")
    assert fleet.find_group(tx, "p2", "g2") is None


def test_members_are_who_stands_there_now(tx: Transaction) -> None:
    targets = [a_target("s3"), a_target("g1", GROUP), a_target("g2", GROUP), a_target("g9", GROUP), a_target("g1")]
    assert fleet.members(tx, "p1", targets) == {
        targets[0]: (a_server(3),),
        targets[1]: [a_server(1, group_id="g1"), a_server(2, group_id="g1")],
        targets[2]: [],
        targets[3]: None,
        targets[4]: None,
    }


def test_another_projects_servers_are_no_members(tx: Transaction) -> None:
    (found,) = fleet.members(tx, "p2", [a_target("g1", GROUP)]).values()
    assert found is not None
    assert [server.project_id for server in found] == ["p2"]


def test_names_are_given_of_what_exists(tx: Transaction) -> None:
    targets = [a_target("s1"), a_target("g2", GROUP), a_target("s9"), a_target("s1", GROUP)]
    assert fleet.target_names(tx, "p1", targets) == {targets[0]: "Server 1", targets[1]: "Group g2"}


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_the_union_of_the_pages_is_the_set_by_id(tx: Transaction, limit: int) -> None:
    pages = [servers(tx, offset=offset, limit=limit) for offset in range(0, 3 + limit, limit)]
    assert {count for count, _ in pages} == {3}
    assert [server_id for _, found in pages for server_id in found] == ["s1", "s2", "s3"]


def test_servers_are_narrowed_down(tx: Transaction) -> None:
    assert servers(tx, server_id="s2") == (1, ["s2"])
    assert servers(tx, group_id="g1") == (2, ["s1", "s2"])
    assert servers(tx, name="SERVER 3") == (1, ["s3"])
    assert servers(tx, name="%") == (0, [])
    assert servers(tx, group_id="g1", server_id="s3") == (0, [])


def test_groups_are_narrowed_down_and_sized(tx: Transaction) -> None:
    assert fleet.page_of_groups(tx, "p1", group_id=None, name=None, offset=1, limit=1) == (2, [a_group("g2")])
    assert fleet.page_of_groups(tx, "p1", group_id="g1", name="up g", offset=0, limit=9) == (1, [a_group("g1")])
    assert (fleet.size(tx, "p1", "g1"), fleet.size(tx, "p1", "g2"), fleet.size(tx, "p2", "g1")) == (2, 0, 1)


def test_a_new_inventory_replaces_the_old_and_what_stays_keeps_its_creation(tx: Transaction) -> None:
    later = {"created_at": after(60), "updated_at": after(60)}
    fleet.replace_inventory(
        tx, "p1", [a_server(2, name="renamed", **later), a_server(4, **later)], [a_group("g1", **later)]
    )
    assert servers(tx) == (2, ["s2", "s4"])
    assert fleet.find_server(tx, "p1", "s2") == a_server(2, name="renamed", updated_at=after(60))
    assert fleet.find_server(tx, "p1", "s4") == a_server(4, **later)
    assert fleet.find_group(tx, "p1", "g1") == a_group("g1", updated_at=after(60))
    assert fleet.find_group(tx, "p1", "g2") is None
    assert fleet.find_server(tx, "p2", "s1") is not None


def test_names_are_found_in_whatever_case_of_a_to_z(tx: Transaction) -> None:
    """In another language's letters too, a database's own idea of small ones must not matter."""
    fleet.replace_inventory(tx, "p1", [a_server(1, name="ÉTAGE 100%_a\\b"), a_server(2, name="other")], [])
    for name in ("É", "Étage", "ge 100%", "%_A", "A\\b"):
        assert servers(tx, name=name) == (1, ["s1"])
    for name in ("é", "_", "g%1"):
        assert servers(tx, name=name)[1] == (["s1"] if name == "_" else [])


def test_endpoints_are_what_was_last_given_without_their_settings(tx: Transaction) -> None:
    far = Endpoint(name="b", driver="command", site="far-1", concurrency_max=3, settings={"password": "secret"})
    fleet.replace_endpoints(tx, [far.reach(), Endpoint(name="a", driver="simulated").reach()])
    assert fleet.endpoints(tx) == [
        Reach(name="a", driver="simulated", site="default", concurrency_max=50),
        Reach(name="b", driver="command", site="far-1", concurrency_max=3),
    ]
    fleet.replace_endpoints(tx, [far.reach()])
    assert fleet.endpoints(tx) == [far.reach()]


def test_one_machine_stands_in_the_fleet_under_one_name(database: Database) -> None:
    with pytest.raises(Constrained), database.transaction() as tx:
        fleet.replace_inventory(tx, "p1", [a_server(1), a_server(2, handle="h1")], [])
