"""The audit log from the command line, against a running service."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from builders import eventually
from fleetcron.cli.audit import instant_of
from fleetcron.cli.exits import Misuse

Run = Callable[..., tuple[int, str, str]]
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def ann(run: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The id of a user who was made, and will be gone."""
    monkeypatch.setenv("FLEETCRON_NEW_PASSWORD", "ann's password")
    code, out, _ = run("user", "create", "audited", "--json")
    assert code == 0
    yield json.loads(out)["user"]["id"]
    run("user", "delete", "audited", "--yes")


def records(run: Run, *arguments: str) -> list[dict[str, Any]]:
    code, out, err = run("audit", *arguments, "--json")
    assert (code, err) == (0, "")
    found: list[dict[str, Any]] = json.loads(out)["records"]
    return found


def test_what_was_done_is_a_table_newest_first(run: Run, ann: str) -> None:
    run("user", "disable", ann)
    code, out, _ = run("audit", "--limit", "2")
    heading, newest, before = out.splitlines()
    assert code == 0
    assert heading.split()[:5] == ["Time", "(UTC)", "User", "Operation", "Decision"]
    assert newest.split()[2:6] == ["admin", "KeystoneUpdateUserByAdmin", "allowed", "200"]
    assert "KeystoneCreateUser" in before


def test_records_are_asked_for_by_operation_user_and_time(run: Run, ann: str) -> None:
    (made,) = records(run, "--operation", "KeystoneCreateUser", "--user", "admin", "--since", "1h", "--limit", "1")
    assert made["resource"] == "/v3/users"
    assert records(run, "--operation", "KeystoneCreateUser", "--until", "1h") == []
    assert records(run, "--user", "nobody-of-this-name") == []


def test_what_was_refused_is_asked_for_by_itself(run: Run, ann: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.delenv("FLEETCRON_ACCESS_KEY")
        patch.setenv("FLEETCRON_USER", "audited")
        patch.setenv("FLEETCRON_PASSWORD", "ann's password")
        assert run("user", "list")[0] == 4
        assert run("audit")[0] == 4
    refused = eventually(lambda: records(run, "--denied", "--user", "audited"))
    assert {record["decision"] for record in refused} == {"denied"}
    assert refused[-1]["operation"] == "KeystoneListUsers"


def test_an_export_has_a_record_on_each_line_and_all_of_them(run: Run, ann: str) -> None:
    for _ in range(2):
        run("user", "disable", ann)
    own = ("--operation", "KeystoneUpdateUserByAdmin")
    code, out, err = run("audit", "--all", "--ndjson")
    everything = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert sorted(record["id"] for record in everything) == list(range(1, len(everything) + 1))
    ids = [record["id"] for record in everything if record["operation"] == "KeystoneUpdateUserByAdmin"]
    assert [record["id"] for record in records(run, "--all", *own)] == ids
    out = run("audit", "--ndjson", "--limit", "2", *own)[1]
    assert [json.loads(line)["id"] for line in out.splitlines()] == ids[:2]


def test_a_table_that_is_cut_says_so_beside_a_pipe(run: Run, ann: str) -> None:
    run("user", "disable", ann)
    assert run("audit", "--limit", "1")[2] == "The newest 1; --all for all\n"
    assert run("audit", "--all")[2] == ""


def test_more_than_a_page_is_joined(run: Run, ann: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleetcron.cli.audit.PAGE_MAX", 1)
    run("user", "disable", ann)
    first, second, third = records(run, "--limit", "3")
    assert first["id"] == second["id"] + 1 == third["id"] + 2


def test_an_export_has_an_end(run: Run, ann: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleetcron.cli.audit.PAGE_MAX", 1)
    monkeypatch.setattr("fleetcron.cli.audit.PAGES_MAX", 1)
    run("user", "disable", ann)
    code, out, err = run("audit", "--all", "--ndjson")
    assert (code, len(out.splitlines())) == (6, 1)
    assert "--until" in err


def test_a_time_that_cannot_be_meant_is_misuse(run: Run) -> None:
    code, out, err = run("audit", "--since", "yesterday")
    assert (code, out) == (2, "")
    assert "'yesterday' is no time" in err


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        (None, None),
        ("", None),
        ("2026-01-31", "2026-01-31T00:00:00+00:00"),
        ("2026-01-31T03:30:00Z", "2026-01-31T03:30:00+00:00"),
        ("2026-01-31T03:30+08:00", "2026-01-31T03:30:00+08:00"),
        ("90m", (NOW - timedelta(minutes=90)).isoformat()),
        ("7d", (NOW - timedelta(days=7)).isoformat()),
        ("2w", (NOW - timedelta(weeks=2)).isoformat()),
    ],
)
def test_a_time_is_an_instant_or_so_long_ago(text: str | None, instant: str | None) -> None:
    assert instant_of(text, NOW) == instant


@pytest.mark.parametrize("text", ["7", "7y", "-7d", "999999999w", "2026-02-30", "soon"])
def test_no_other_text_is_a_time(text: str) -> None:
    with pytest.raises(Misuse):
        instant_of(text, NOW)
