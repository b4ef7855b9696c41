"""Access keys from the command line, against a running service."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

Run = Callable[..., tuple[int, str, str]]


def test_a_key_works_from_creation_to_deletion(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = run("key", "create", "--description", "for the pipeline")
    lines = dict(line.split("  ", 1) for line in out.splitlines())
    access_key, secret_key = lines["Access key"].strip(), lines["Secret key"].strip()
    assert (code, err) == (0, "The secret key is not shown again.\n")
    with monkeypatch.context() as patch:
        patch.setenv("FLEETCRON_ACCESS_KEY", access_key)
        patch.setenv("FLEETCRON_SECRET_KEY", secret_key)
        assert run("server", "list")[0] == 0
        assert secret_key not in run("key", "list")[1]
    assert run("key", "delete", access_key) == (0, f"Deleted {access_key}.\n", "")
    assert access_key not in {key["access"] for key in json.loads(run("key", "list", "--json")[1])["credentials"]}


def test_a_key_may_be_made_for_somebody_else(run: Run) -> None:
    run("user", "create", "robot", "--no-password")
    key = json.loads(run("key", "create", "--user", "robot", "--json")[1])["credential"]
    listed = json.loads(run("key", "list", "--user", "robot", "--json")[1])["credentials"]
    run("user", "delete", "robot")
    assert [one["access"] for one in listed] == [key["access"]]


def test_an_unknown_key_is_not_found(run: Run) -> None:
    assert run("key", "delete", "NOBODYS")[0] == 5


def test_a_temporary_key_works_together_with_its_security_token(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    key = json.loads(run("key", "create", "--temporary", "--seconds", "3600", "--json")[1])["credential"]
    monkeypatch.setenv("FLEETCRON_ACCESS_KEY", key["access"])
    monkeypatch.setenv("FLEETCRON_SECRET_KEY", key["secret"])
    code, _, err = run("server", "list")
    assert code == 3
    assert "security token" in err
    monkeypatch.setenv("FLEETCRON_SECURITY_TOKEN", key["securitytoken"])
    assert run("server", "list")[0] == 0
    assert run("key", "create")[0] == run("key", "create", "--temporary")[0] == 4
    assert run("key", "delete", key["access"])[0] == 0
    assert run("server", "list")[0] == 3


def test_a_temporary_key_is_shown_with_its_security_token(run: Run) -> None:
    code, out, err = run("key", "create", "--temporary")
    lines = {line.split("  ", 1)[0] for line in out.splitlines()}
    assert (code, err) == (0, "The secret key is not shown again.\n")
    assert lines == {"Access key", "Secret key", "Security token", "Expires (UTC)"}


@pytest.mark.parametrize(
    "options",
    [("--seconds", "900"), ("--temporary", "--user", "admin"), ("--temporary", "--description", "x")],
)
def test_what_does_not_go_together_is_misuse(run: Run, options: tuple[str, ...]) -> None:
    assert run("key", "create", *options)[0] == 2
