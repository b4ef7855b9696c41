"""Policies from the command line, against a running service."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]
As = Callable[..., int]

DOCUMENT = '{"Version": "5.0", "Statement": [{"Effect": "Allow", "Action": ["workspace:server:list"]}]}'


@pytest.fixture
def document(tmp_path: Path) -> str:
    """A file with a policy that lets servers be listed."""
    file = tmp_path / "policy.json"
    file.write_text(DOCUMENT)
    return str(file)


@pytest.fixture
def as_paul(run: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[As]:
    """The command line's exit code, signed in as paul, who is no administrator."""
    monkeypatch.setenv("FLEETCRON_NEW_PASSWORD", "paul's password")
    assert run("user", "create", "paul")[0] == 0

    def ask(*arguments: str) -> int:
        with monkeypatch.context() as patch:
            patch.delenv("FLEETCRON_ACCESS_KEY")
            patch.setenv("FLEETCRON_USER", "paul")
            patch.setenv("FLEETCRON_PASSWORD", "paul's password")
            return run(*arguments)[0]

    yield ask
    run("user", "delete", "paul")


def test_a_policy_counts_from_attaching_to_detaching(run: Run, as_paul: As, document: str) -> None:
    assert run("policy", "create", "servers", document, "--description", "may look")[0] == 0
    assert as_paul("server", "list") == 4
    assert run("policy", "attach", "servers", "--user", "paul") == (0, "Attached servers to paul.\n", "")
    assert as_paul("server", "list") == 0
    assert as_paul("task", "list") == 4
    assert "servers" in run("policy", "list", "--user", "paul")[1]
    code, _, err = run("policy", "delete", "servers")
    assert code == 6
    assert "detach it first" in err
    assert run("policy", "detach", "servers", "--user", "paul") == (0, "Detached servers from paul.\n", "")
    assert as_paul("server", "list") == 4
    assert run("policy", "detach", "servers", "--user", "paul")[0] == 5
    assert run("policy", "delete", "servers") == (0, "Deleted servers.\n", "")


def test_a_predefined_policy_counts_in_one_project_for_a_group(run: Run, as_paul: As, sign_in: dict[str, str]) -> None:
    run("group", "create", "readers")
    run("group", "add", "readers", "paul")
    place = ("--group", "readers", "--project", sign_in["FLEETCRON_PROJECT_ID"])
    assert run("policy", "attach", "Workspace ReadOnlyAccess", *place)[0] == 0
    assert as_paul("task", "list") == 0
    assert "Workspace ReadOnlyAccess" in run("policy", "list", *place)[1]
    assert run("policy", "list", "--group", "readers")[1] == "", "in the account as a whole, nothing is attached"
    assert run("policy", "detach", "Workspace ReadOnlyAccess", *place)[0] == 0
    assert as_paul("task", "list") == 4
    run("group", "delete", "readers")


def test_policies_are_a_table_and_one_shows_its_document(run: Run, document: str) -> None:
    run("policy", "create", "shown", document)
    heading, *rows = run("policy", "list")[1].splitlines()
    assert heading.split() == ["ID", "Name", "Catalogue", "Description"]
    assert len(rows) > 1
    out = run("policy", "show", "shown")[1]
    assert json.loads(out[out.index("{") :]) == json.loads(DOCUMENT)
    assert json.loads(run("policy", "show", "shown", "--json")[1])["role"]["policy"] == json.loads(DOCUMENT)
    assert run("policy", "delete", "shown")[0] == 0


def test_a_policy_is_given_another_document(run: Run, document: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run("policy", "create", "changing", document)
    changed = DOCUMENT.replace("list", "get")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(changed.encode())))
    assert run("policy", "update", "changing", "-")[0] == 0
    assert json.loads(run("policy", "show", "changing", "--json")[1])["role"]["policy"] == json.loads(changed)
    run("policy", "delete", "changing")


def test_a_malformed_document_is_refused_by_its_place(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    file.write_text(DOCUMENT.replace("Allow", "Perhaps"))
    code, _, err = run("policy", "create", "broken", str(file))
    assert code == 6
    assert "policy.Statement[0].Effect must be Allow or Deny" in err


@pytest.mark.parametrize("text", [None, "", "{", "\x00"])
def test_what_is_no_json_is_not_even_sent(run: Run, tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "policy.json"
    if text is not None:
        file.write_text(text)
    code, _, err = run("policy", "create", "broken", str(file))
    assert code == 2
    assert str(file) in err


@pytest.mark.parametrize("whose", [(), ("--user", "paul", "--group", "readers")])
def test_one_of_user_and_group_has_to_be_named(run: Run, whose: tuple[str, ...]) -> None:
    code, _, err = run("policy", "attach", "Workspace FullAccess", *whose)
    assert code == 2
    assert "either --user or --group" in err


def test_an_unknown_policy_is_not_found(run: Run) -> None:
    assert run("policy", "show", "nothing")[0] == 5
    assert run("policy", "attach", "nothing", "--user", "admin")[0] == 5
