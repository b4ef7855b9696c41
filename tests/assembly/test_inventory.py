"""The fleet file: read whole, or refused with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders import NOW
from fleetcron.assembly import inventory
from fleetcron.assembly.inventory import Inventory
from fleetcron.domain.fleet import Endpoint, Server, ServerGroup
from fleetcron.errors import BadSettings

LAB = "[[endpoints]]\nname = 'lab'\ndriver = 'simulated'\n"
GROUP = "[[groups]]\nid = 'g1'\nname = 'Group'\n"


def server(**fields: object) -> str:
    lines = "\n".join(f"{key} = {value!r}" for key, value in ({"id": "s1", "endpoint": "lab"} | fields).items())
    return f"[[servers]]\n{lines}\n"


def read(folder: Path, text: str) -> Inventory:
    path = folder / "fleet.toml"
    path.write_text(text)
    return inventory.read(path, project_id="p1", now=NOW)


def a_server(server_id: str, **fields: object) -> Server:
    complete: dict[str, object] = {"name": server_id, "group_id": None, "endpoint": "lab", "handle": server_id}
    return Server(
        server_id=server_id,
        project_id="p1",
        created_at=NOW,
        updated_at=NOW,
        **(complete | fields),  # type: ignore[arg-type]
    )


def test_what_is_written_is_meant(tmp_path: Path) -> None:
    text = (
        "[[endpoints]]\nname = 'lab'\ndriver = 'simulated'\nconcurrency_max = 7\nsettings = { seed = 3 }\n"
        + GROUP
        + server()
        + server(id="s2", name="Two", handle="node-2", group="g1")
    )
    assert read(tmp_path, text) == Inventory(
        endpoints=(Endpoint(name="lab", driver="simulated", concurrency_max=7, settings={"seed": 3}),),
        groups=(ServerGroup(group_id="g1", project_id="p1", name="Group", created_at=NOW, updated_at=NOW),),
        servers=(a_server("s1"), a_server("s2", name="Two", handle="node-2", group_id="g1")),
    )


def test_an_empty_file_is_an_empty_fleet(tmp_path: Path) -> None:
    assert read(tmp_path, "") == Inventory()


def test_one_entry_can_stand_for_many(tmp_path: Path) -> None:
    found = read(tmp_path, LAB + server(id="web-{n:02}", name="Web {n}", handle="10.0.0.{n}", count=3)).servers
    assert [(one.server_id, one.name, one.handle) for one in found] == [
        ("web-01", "Web 1", "10.0.0.1"),
        ("web-02", "Web 2", "10.0.0.2"),
        ("web-03", "Web 3", "10.0.0.3"),
    ]


def test_a_name_and_a_handle_that_are_not_said_are_the_id(tmp_path: Path) -> None:
    (one,) = read(tmp_path, LAB + server(id="web-{n}", count=1)).servers
    assert (one.server_id, one.name, one.handle) == ("web-1", "web-1", "web-1")


def test_without_a_count_braces_are_braces(tmp_path: Path) -> None:
    assert read(tmp_path, LAB + server(id="{n}")).servers[0].server_id == "{n}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (server(), "no endpoint 'lab'"),
        (LAB + server(group="g9"), "no group 'g9'"),
        (LAB + server() + server(), "server s1 is there twice"),
        (LAB + LAB, "endpoint lab is there twice"),
        (GROUP + GROUP, "group g1 is there twice"),
        (LAB + server() + server(id="s2", handle="s1"), "handle s1 at lab is there twice"),
        (LAB + server(count=2), "server s1 is there twice"),
        (LAB + server(id="s-{n}", handle="same", count=2), "same at lab is there twice"),
        (LAB + server(id="s-{m}", count=2), "only {n}"),
        (LAB + server(id="s-{}", count=2), "only {n}"),
        (LAB + server(id="s-{n", count=2), "only {n}"),
        (LAB + server(id="s-{n.nothing}", count=2), "only {n}"),
        (LAB + server(id="s-{n:x}-{n[0]}", count=2), "only {n}"),
        (LAB + server(count=0), "count"),
        (LAB + server(count=100_001), "count"),
        (LAB + server(id=""), "id"),
        (LAB + server(id="x" * 129), "id"),
        (LAB + server(id="{n:0200}", count=1), "128"),
        (LAB + server(colour="red"), "colour"),
        ("[[endpoints]]\nname = 'lab'\n", "driver"),
        (LAB + "concurrency_max = 0\n", "concurrency_max"),
        (LAB + "concurrency_max = -3\n", "concurrency_max"),
        ("[[groups]]\nid = 'g1'\n", "name"),
        ("[servers]", "servers"),
        ("[[servers]", "fleet.toml"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BadSettings) as refusal:
        read(tmp_path, text)
    assert str(tmp_path / "fleet.toml") in str(refusal.value)
    assert words in str(refusal.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="cannot be read"):
        inventory.read(tmp_path / "nowhere.toml", project_id="p1", now=NOW)
