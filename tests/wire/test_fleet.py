"""Servers and groups on the wire, and the operations on them at once."""

from __future__ import annotations

import msgspec
import pytest

from builders import a_group, a_server
from fleetcron.domain.task import TaskType
from fleetcron.errors import Invalid
from fleetcron.wire.fields import read_body, read_query
from fleetcron.wire.fleet import (
    BatchReinstall,
    BatchStart,
    BatchStop,
    Force,
    GroupQuery,
    Reinstall,
    ServerQuery,
    say_group,
    say_jobs,
    say_server,
    unique,
)


def refused(kind: type, said: object) -> str:
    with pytest.raises(Invalid) as caught:
        read_body(msgspec.json.encode(said), kind)
    return caught.value.field


def test_a_server_is_said_with_its_group() -> None:
    assert say_server(a_server(1, group_id="g1"), "Lab", None) == {
        "id": "s1",
        "name": "Server 1",
        "machine_name": "h1",
        "server_group_id": "g1",
        "server_group_name": "Lab",
        "task_status": "null",
        "create_time": "2026-03-01T12:00:00.000Z",
        "update_time": "2026-03-01T12:00:00.000Z",
    }


@pytest.mark.parametrize(
    ("live", "said"),
    [
        (None, "null"),  # sic: the vendor's idle example is this text
        (TaskType.START_SERVER, "powering-on"),
        (TaskType.STOP_SERVER, "powering-off"),
        (TaskType.RESTART_SERVER, "rebooting"),
        (TaskType.REINSTALL_OS, "rebuilding"),
    ],
)
def test_a_server_says_what_is_done_to_it(live: TaskType | None, said: str) -> None:
    assert say_server(a_server(), None, live)["task_status"] == said


def test_a_group_is_said_with_its_size() -> None:
    said = say_group(a_group("g1"), 12)
    assert (said["id"], said["name"], said["app_server_count"]) == ("g1", "Group g1", 12)


def test_jobs_are_said_in_the_order_asked_with_the_missing_apart() -> None:
    assert say_jobs(["b", "a"], ["b"], "e-1")["items"] == [
        {
            "server_id": "b",
            "job_id": None,
            "error_code": "WKS.00211902",
            "error_message": "The server b does not exist.",
        },
        {"server_id": "a", "job_id": "e-1", "error_code": None, "error_message": None},
    ]


@pytest.mark.parametrize("kind", [BatchStart, BatchStop])
@pytest.mark.parametrize("items", [[], ["x"] * 21, [""], ["x" * 129], [7], "x", None])
def test_a_batch_outside_its_limits_is_refused(kind: type, items: object) -> None:
    assert refused(kind, {"items": items}).startswith("items")


@pytest.mark.parametrize("server_ids", [[], ["x"] * 51, [""], None])
def test_a_batch_of_reinstalls_outside_its_limits_is_refused(server_ids: object) -> None:
    assert refused(BatchReinstall, {"server_ids": server_ids}).startswith("server_ids")


def test_batches_are_read_up_to_their_limits() -> None:
    assert len(read_body(msgspec.json.encode({"items": ["x"] * 20}), BatchStop).items) == 20
    assert len(read_body(msgspec.json.encode({"server_ids": ["x"] * 50}), BatchReinstall).server_ids) == 50


@pytest.mark.parametrize(
    ("said", "force"),
    [({}, Force.SOFT), ({"type": "SOFT"}, Force.SOFT), ({"type": "hard"}, Force.HARD), ({"type": "HARD"}, Force.HARD)],
)
def test_a_stop_is_soft_unless_said_otherwise(said: dict[str, str], force: Force) -> None:
    assert read_body(msgspec.json.encode({"items": ["x"], **said}), BatchStop).type is force


def test_another_force_is_refused_by_name() -> None:
    assert refused(BatchStop, {"items": ["x"], "type": "GENTLE"}) == "type"


def test_a_reinstall_needs_no_words() -> None:
    assert read_body(b"", Reinstall) == Reinstall()


def test_filters_are_empty_unless_said_otherwise() -> None:
    assert read_query({}, ServerQuery) == ServerQuery(offset=0, limit=10)
    assert read_query({}, GroupQuery) == GroupQuery(offset=0, limit=10)


def test_an_id_may_stand_once() -> None:
    assert unique("items", ("b", "a")) == ["b", "a"]
    with pytest.raises(Invalid, match="items must not repeat"):
        unique("items", ("a", "b", "a"))
