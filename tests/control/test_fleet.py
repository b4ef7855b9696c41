"""What people ask of servers, against a real database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import count

import pytest

from builders import NOW, a_group, a_server, a_subtask, a_task, an_execution
from fleetcron.control.fleet import Fleet
from fleetcron.control.history import History
from fleetcron.control.tasks import Tasks
from fleetcron.domain.access import Caller
from fleetcron.domain.execution import Status
from fleetcron.domain.task import LateLimits, TaskType
from fleetcron.errors import Forbidden, NotFound
from fleetcron.store import executions, fleet, subtasks, tasks
from fleetcron.store.database import Database

ADA = Caller(user_id="u1", user_name="ada", account_id="default", administrator=True, project_id=None)
MALLORY = Caller(user_id="u2", user_name="mallory", account_id="elsewhere", administrator=True, project_id=None)


@pytest.fixture
def woken() -> list[bool]:
    """One entry for each time that the engine was woken."""
    return []


@pytest.fixture
def rooms(database: Database, woken: list[bool]) -> Fleet:
    """Servers s1 to s12, of which the first three are in group g1, and another project's s13."""
    own = tuple(a_server(n, group_id="g1" if n <= 3 else None) for n in range(1, 13))
    with database.transaction() as tx:
        fleet.replace_inventory(tx, "p1", own, (a_group("g1"), a_group("g2", name="Empty_one")))
        fleet.replace_inventory(tx, "p2", (a_server(13, project_id="p2"),), (a_group("g3", project_id="p2"),))
    numbers = count(1)
    return Fleet(
        database,
        late_limits=LateLimits(),
        new_id=lambda: f"id{next(numbers)}",
        wake=lambda: woken.append(True),
    )


def act(
    rooms: Fleet, *server_ids: str, task_type: TaskType = TaskType.RESTART_SERVER, enforcement: bool = False
) -> str:
    return rooms.act(ADA, "p1", task_type, server_ids, enforcement=enforcement, now=NOW)


def servers(rooms: Fleet, **asked: object) -> tuple[int, list[str]]:
    complete: dict[str, object] = {"server_id": None, "group_id": None, "name": None, "offset": 0, "limit": 100}
    number, found = rooms.servers(ADA, "p1", **(complete | asked))  # type: ignore[arg-type]
    return number, [one.server.server_id for one in found]


def groups(rooms: Fleet, **asked: object) -> tuple[int, list[str]]:
    complete: dict[str, object] = {"group_id": None, "name": None, "offset": 0, "limit": 100}
    number, found = rooms.groups(ADA, "p1", **(complete | asked))  # type: ignore[arg-type]
    return number, [one.group.group_id for one in found]


def test_servers_come_by_id_and_pages_make_up_the_whole(rooms: Fleet) -> None:
    pages = [servers(rooms, offset=offset, limit=5) for offset in (0, 5, 10, 15)]
    assert {number for number, _ in pages} == {12}
    assert [key for _, page in pages for key in page] == sorted(f"s{n}" for n in range(1, 13))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"server_id": "s1"}, ["s1"]),
        ({"server_id": "s"}, []),
        ({"server_id": "s13"}, []),
        ({"group_id": "g1"}, ["s1", "s2", "s3"]),
        ({"group_id": "g2"}, []),
        ({"name": "SERVER 1"}, ["s1", "s10", "s11", "s12"]),
        ({"name": "%"}, []),
        ({"name": "_"}, []),
        ({"group_id": "g1", "name": "er 2"}, ["s2"]),
    ],
)
def test_servers_are_found_by_id_group_and_name(rooms: Fleet, asked: dict[str, str], expected: list[str]) -> None:
    assert servers(rooms, **asked) == (len(expected), expected)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [({}, ["g1", "g2"]), ({"group_id": "g2"}, ["g2"]), ({"name": "y_o"}, ["g2"]), ({"name": "%"}, [])],
)
def test_groups_are_found_by_id_and_name(rooms: Fleet, asked: dict[str, str], expected: list[str]) -> None:
    assert groups(rooms, **asked) == (len(expected), expected)


def test_a_server_is_seen_with_its_group_and_at_rest(rooms: Fleet) -> None:
    seen = rooms.server(ADA, "p1", "s1")
    assert (seen.server, seen.group_name, seen.live) == (a_server(1, group_id="g1"), "Group g1", None)
    assert rooms.server(ADA, "p1", "s4").group_name is None


def test_a_server_is_seen_at_what_is_done_to_it(rooms: Fleet, database: Database) -> None:
    over = a_subtask(2, dispatched_at=NOW, ended_at=NOW, status=Status.SUCCESS)
    with database.transaction() as tx:
        tasks.insert(tx, a_task())
        executions.insert(tx, [an_execution(task_type=TaskType.STOP_SERVER, total=2)])
        subtasks.insert(tx, [a_subtask(1), over])
        assert subtasks.dispatch(tx, subtasks.waiting(tx, 10, NOW), NOW) == [("e1", 1)]
    assert rooms.server(ADA, "p1", "s1").live is TaskType.STOP_SERVER
    assert rooms.server(ADA, "p1", "s2").live is None


def test_a_group_is_seen_with_its_size(rooms: Fleet) -> None:
    assert rooms.group(ADA, "p1", "g1").server_count == 3
    assert rooms.group(ADA, "p1", "g2").server_count == 0


def test_what_is_another_projects_is_not_there(rooms: Fleet) -> None:
    for ask in (
        lambda: rooms.server(ADA, "p1", "s13"),
        lambda: rooms.group(ADA, "p1", "g3"),
        lambda: act(rooms, "s13"),
    ):
        with pytest.raises(NotFound):
            ask()


def test_an_action_is_recorded_before_the_engine_is_woken(rooms: Fleet, database: Database, woken: list[bool]) -> None:
    execution_id = act(rooms, "s2", "s1", enforcement=True)
    execution, shares = History(database).subtasks(ADA, "p1", execution_id, offset=0, limit=10)
    assert (execution.task_type, execution.total, execution.status) == (TaskType.RESTART_SERVER, 2, Status.WAITING)
    assert execution.enforcement
    assert execution.fire_at == NOW
    assert execution.start_until == NOW + timedelta(seconds=300)
    assert [(share.server_id, share.handle, share.status) for share in shares] == [
        ("s2", "h2", Status.WAITING),
        ("s1", "h1", Status.WAITING),
    ]
    assert woken == [True]


def test_a_server_named_twice_is_acted_on_once(rooms: Fleet, database: Database) -> None:
    execution, _ = History(database).subtasks(ADA, "p1", act(rooms, "s1", "s1"), offset=0, limit=10)
    assert execution.total == 1


def test_an_action_at_once_is_no_task_that_anybody_sees(rooms: Fleet, database: Database) -> None:
    execution_id = act(rooms, "s1")
    room = Tasks(database, new_id=lambda: "x", wake=lambda: None)
    assert room.page(ADA, "p1", name=None, task_type=None, offset=0, limit=10) == (0, [])
    execution, _ = History(database).subtasks(ADA, "p1", execution_id, offset=0, limit=10)
    with pytest.raises(NotFound):
        room.show(ADA, "p1", execution.task_id)
    with database.snapshot() as tx:
        assert tasks.due_ids(tx, NOW + timedelta(days=9999), 10) == []


def test_an_action_on_one_unknown_server_acts_on_none(rooms: Fleet, database: Database, woken: list[bool]) -> None:
    with pytest.raises(NotFound, match="s99"):
        act(rooms, "s1", "s99")
    assert woken == []
    with database.transaction() as tx:
        assert subtasks.waiting(tx, 10, NOW) == []


def test_unknown_servers_are_told_apart(rooms: Fleet) -> None:
    asked = ["s99", "s1", "s13"]
    assert rooms.missing(ADA, "p1", TaskType.REINSTALL_OS, asked) == ["s99", "s13"]


ASKED: dict[str, Callable[[Fleet], object]] = {
    "servers": lambda rooms: rooms.servers(MALLORY, "p1", server_id=None, group_id=None, name=None, offset=0, limit=1),
    "server": lambda rooms: rooms.server(MALLORY, "p1", "s1"),
    "groups": lambda rooms: rooms.groups(MALLORY, "p1", group_id=None, name=None, offset=0, limit=1),
    "group": lambda rooms: rooms.group(MALLORY, "p1", "g1"),
    "missing": lambda rooms: rooms.missing(MALLORY, "p1", TaskType.REINSTALL_OS, ["s1"]),
    **{
        kind: lambda rooms, kind=kind: rooms.act(MALLORY, "p1", kind, ["s1"], enforcement=False, now=NOW)  # type: ignore[misc]
        for kind in TaskType
    },
}


@pytest.mark.parametrize("deed", ASKED)
def test_a_stranger_may_nothing(rooms: Fleet, woken: list[bool], deed: str) -> None:
    with pytest.raises(Forbidden):
        ASKED[deed](rooms)
    assert woken == []
