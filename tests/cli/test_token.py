"""Tokens from the command line, against a running service."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import pytest

Run = Callable[..., tuple[int, str, str]]


def test_a_token_is_good_until_it_is_revoked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = run("token", "issue")
    assert (code, err[:8]) == (0, "Expires ")
    monkeypatch.setenv("FLEETCRON_TOKEN", out.strip())
    assert run("server", "list")[0] == 0
    code, said, _ = run("token", "check")
    assert (code, said.splitlines()[0].split()) == (0, ["User", "admin"])
    assert run("token", "revoke") == (0, "Revoked.\n", "")
    assert run("server", "list")[0] == 3


def test_a_token_is_for_the_project_that_is_named(run: Run, sign_in: dict[str, str]) -> None:
    answer = json.loads(run("token", "issue", "--json")[1])
    assert answer["token"]["project"]["id"] == sign_in["FLEETCRON_PROJECT_ID"]
    assert len(answer["X-Subject-Token"]) > 40


def test_a_token_without_a_project_is_for_the_account(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLEETCRON_PROJECT_ID")
    assert json.loads(run("token", "issue", "--json")[1])["token"]["domain"]["name"] == "default"


def test_a_token_out_of_standard_input_is_checked_by_whoever_is_signed_in(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = run("token", "issue")[1]
    monkeypatch.setattr("sys.stdin", io.StringIO(token))
    code, out, _ = run("token", "check", "--token-stdin", "--json")
    assert (code, json.loads(out)["token"]["user"]["name"]) == (0, "admin")
    monkeypatch.setattr("sys.stdin", io.StringIO("no such token\n"))
    assert run("token", "check", "--token-stdin")[0] == 5


def test_no_token_is_misuse(run: Run) -> None:
    assert run("token", "check")[0] == 2
