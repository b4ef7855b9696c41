"""``fleetcron api``: what it takes, and what it refuses before it starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetcron.cli import main
from refusals import refusal


def test_without_a_database_it_is_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = refusal(capsys, "api", "--port", "0")
    assert code == 2
    assert "FLEETCRON_DATABASE" in said


def test_a_url_that_is_none_is_refused_without_its_password(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEETCRON_DATABASE", "mysql://user:hush@host/name")
    code, said = refusal(capsys, "api", "--port", "0")
    assert code == 2
    assert "postgresql://" in said
    assert "hush" not in said


def test_a_sign_in_file_that_is_somebody_elses_stops_the_start(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("don't lose this")
    database = "postgresql://127.0.0.1:1/none"
    code, said = refusal(capsys, "api", "--database", database, "--sign-in-file", str(tmp_path / "notes.txt"))
    assert code == 2
    assert "notes.txt" in said


def test_help_warns_of_passwords_in_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["api", "--help"])
    assert "arguments are seen by every user" in " ".join(capsys.readouterr().out.split())
