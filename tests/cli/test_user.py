"""Users from the command line, against a running service."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import pytest

Run = Callable[..., tuple[int, str, str]]


def typed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def signs_in(run: Run, monkeypatch: pytest.MonkeyPatch, user: str, password: str) -> bool:
    with monkeypatch.context() as patch:
        patch.setenv("FLEETCRON_USER", user)
        patch.setenv("FLEETCRON_PASSWORD", password)
        code, _, _ = run("token", "issue")
    return code == 0


def test_a_user_lives_from_creation_to_deletion(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    typed(monkeypatch, "first password\n")
    code, out, err = run("user", "create", "ann", "--password-stdin", "--description", "night shift", "--json")
    assert (code, err, json.loads(out)["user"]["description"]) == (0, "", "night shift")
    assert signs_in(run, monkeypatch, "ann", "first password")
    assert run("user", "disable", "ann")[0] == 0
    assert not signs_in(run, monkeypatch, "ann", "first password")
    assert run("user", "enable", json.loads(out)["user"]["id"])[0] == 0
    monkeypatch.setenv("FLEETCRON_NEW_PASSWORD", "second password")
    assert run("user", "set-password", "ann")[0] == 0
    assert not signs_in(run, monkeypatch, "ann", "first password")
    assert signs_in(run, monkeypatch, "ann", "second password")
    assert run("user", "delete", "ann") == (0, "Deleted ann.\n", "")
    assert json.loads(run("user", "list", "--name", "ann", "--json")[1])["users"] == []


def test_users_are_a_table(run: Run) -> None:
    heading, *rows = run("user", "list")[1].splitlines()
    assert heading.split() == ["ID", "Name", "Enabled", "Description"]
    assert "admin" in {row.split()[1] for row in rows}


def test_a_user_without_a_password_is_made_only_if_asked_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    typed(monkeypatch, "")
    code, _, err = run("user", "create", "bot")
    assert code == 2
    assert "--password-stdin" in err
    assert run("user", "create", "bot", "--no-password")[0] == 0
    assert run("user", "delete", "bot")[0] == 0


def test_whoever_is_no_administrator_is_forbidden(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETCRON_NEW_PASSWORD", "plain password")
    run("user", "create", "plain")
    with monkeypatch.context() as patch:
        patch.delenv("FLEETCRON_ACCESS_KEY")
        patch.setenv("FLEETCRON_USER", "plain")
        patch.setenv("FLEETCRON_PASSWORD", "plain password")
        code, out, err = run("user", "list")
    run("user", "delete", "plain")
    assert (code, out) == (4, "")
    assert "(HTTP 403, X-Request-Id " in err


def test_the_last_administrator_stays(run: Run) -> None:
    code, _, err = run("user", "delete", "admin")
    assert code == 6
    assert "(HTTP 409, " in err


def test_an_unknown_user_is_not_found(run: Run) -> None:
    assert run("user", "enable", "nobody")[0] == 5
