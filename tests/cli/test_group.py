"""Groups of users from the command line, against a running service."""

from __future__ import annotations

import json
from collections.abc import Callable

Run = Callable[..., tuple[int, str, str]]


def test_a_group_lives_from_creation_to_deletion(run: Run) -> None:
    run("user", "create", "gina", "--no-password")
    code, out, err = run("group", "create", "night shift", "--description", "at night", "--json")
    assert (code, err, json.loads(out)["group"]["description"]) == (0, "", "at night")
    assert run("group", "add", "night shift", "gina", "admin") == (0, "gina, admin: in night shift.\n", "")
    assert {row.split()[1] for row in run("group", "members", "night shift")[1].splitlines()[1:]} == {"admin", "gina"}
    listed = json.loads(run("group", "list", "--user", "gina", "--json")[1])["groups"]
    assert [group["name"] for group in listed] == ["night shift"]
    assert run("group", "remove", json.loads(out)["group"]["id"], "gina")[0] == 0
    assert run("group", "remove", "night shift", "gina")[0] == 5
    assert run("group", "delete", "night shift") == (0, "Deleted night shift.\n", "")
    run("user", "delete", "gina")


def test_groups_are_a_table(run: Run) -> None:
    assert run("group", "list") == (0, "", "No groups.\n")
    run("group", "create", "ops")
    heading, *rows = run("group", "list")[1].splitlines()
    run("group", "delete", "ops")
    assert heading.split() == ["ID", "Name", "Description"]
    assert [row.split()[1] for row in rows] == ["ops"]


def test_an_unknown_group_is_not_found(run: Run) -> None:
    assert run("group", "members", "nothing")[0] == 5
    assert run("group", "delete", "nothing")[0] == 5
