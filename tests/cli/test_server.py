"""Servers from the command line, against a running service."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import pytest

from fleetcron.wire.fleet import BATCH_MAX

Run = Callable[..., tuple[int, str, str]]


def test_servers_are_listed_by_group_and_name(run: Run) -> None:
    everything = json.loads(run("server", "list", "--json")[1])
    lab = json.loads(run("server", "list", "--group", "lab", "--all", "--json")[1])
    one = json.loads(run("server", "list", "--name", "quick-2", "--json")[1])
    assert (everything["count"], lab["count"], [server["id"] for server in one["items"]]) == (6, 3, ["quick-2"])


def test_a_server_and_the_groups_are_shown(run: Run) -> None:
    code, out, _ = run("server", "show", "quick-1")
    assert (code, out.splitlines()[0].split()) == (0, ["ID", "quick-1"])
    assert run("server", "groups")[1].split() == ["ID", "Name", "Servers", "lab", "Lab", "3"]
    assert run("server", "show", "nobody")[0] == 5


@pytest.mark.parametrize("verb", [("start",), ("stop", "--hard"), ("restart",)], ids=lambda verb: verb[0])
def test_servers_are_operated_on_at_once(run: Run, verb: tuple[str, ...]) -> None:
    code, out, err = run("server", *verb, "quick-1", "quick-1", "quick-2")
    assert (code, err) == (0, "")
    assert out.startswith(f"Asked to {verb[0]} 2 servers. The API does not show how that ends; ")
    assert run("server", *verb, "quick-3", "--json") == (0, "null\n", "")


def test_an_unknown_server_is_not_found(run: Run) -> None:
    code, out, err = run("server", "restart", "nobody")
    assert (code, out) == (5, "")
    assert "nobody" in err


def test_a_reinstallation_says_how_each_server_fares(run: Run) -> None:
    code, out, _ = run("server", "reinstall", "quick-1", "--yes", "--json")
    (job,) = json.loads(out)["items"]
    assert (code, job["server_id"], job["error_code"]) == (0, "quick-1", None)
    assert run("history", "show", job["job_id"])[1].splitlines()[1].split()[0] == "quick-1"
    code, out, _ = run("server", "reinstall", "quick-2", "nobody", "--yes")
    assert code == 1
    assert [line.split()[0] for line in out.splitlines()] == ["Server", "quick-2", "nobody"]


def test_nothing_is_reinstalled_unasked_without_a_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    code, out, err = run("server", "reinstall", "quick-1")
    assert (code, out) == (2, "")
    assert "--yes" in err


def test_more_servers_than_the_api_takes_are_refused(run: Run) -> None:
    code, _, err = run("server", "start", *(f"quick-{number}" for number in range(BATCH_MAX + 1)))
    assert (code, err) == (2, "Error: 20 servers at most; 21 were given\n")
