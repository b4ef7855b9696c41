"""``fleetcron engine``: what it takes, and what it refuses before it starts."""

from __future__ import annotations

import pytest

from fleetcron.cli import main
from refusals import refusal


def test_without_a_database_or_a_line_it_is_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = refusal(capsys, "engine")
    assert code == 2
    assert "FLEETCRON_DATABASE" in said
    code, said = refusal(capsys, "engine", "--database", "postgresql://127.0.0.1:1/none")
    assert code == 2
    assert "FLEETCRON_NATS" in said


def test_a_line_that_cannot_be_meant_is_refused_without_its_password(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEETCRON_NATS", "http://user:hush@host")
    code, said = refusal(capsys, "engine", "--database", "postgresql://127.0.0.1:1/none")
    assert code == 2
    assert "nats://host:4222" in said
    assert "hush" not in said


def test_help_warns_of_passwords_in_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["engine", "--help"])
    assert " ".join(capsys.readouterr().out.split()).count("arguments are seen by every user") == 2
