"""``fleetcron serve``: started, asked, ended and started again as an operator would."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from fleetcron.cli import main

Run = Callable[..., tuple[int, str, str]]
Serving = Callable[..., AbstractContextManager[str]]


def secret(said: str, heading: str) -> str | None:
    return next((line.split()[-1] for line in said.splitlines() if line.strip().startswith(heading)), None)


def test_secrets_are_shown_at_the_first_start_alone(serving: Serving, tmp_path: Path) -> None:
    with serving(tmp_path) as first:
        pass
    kept = (tmp_path / "sign-in.env").read_text().splitlines()
    with serving(tmp_path) as second:
        pass
    now = (tmp_path / "sign-in.env").read_text().splitlines()
    assert all(secret(first, heading) for heading in ("Password", "Access key", "Secret key"))
    assert not any(secret(second, heading) for heading in ("Password", "Access key", "Secret key"))
    assert secret(first, "Project") == secret(second, "Project")
    assert [line for line in now if "_URL=" not in line] == [line for line in kept if "_URL=" not in line]
    assert stat.S_IMODE((tmp_path / "sign-in.env").stat().st_mode) == 0o600


def test_what_is_set_is_so_and_good_for_signing_in(
    serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    chosen = {
        "FLEETCRON_ADMIN_PASSWORD": "chosen password",
        "FLEETCRON_ACCESS_KEY": "CHOSENKEY",
        "FLEETCRON_SECRET_KEY": "chosen-secret",
        "FLEETCRON_PROJECT_ID": "0123456789abcdef0123456789abcdef",
    }
    with serving(tmp_path, **chosen) as said:
        for name, value in {**chosen, "FLEETCRON_URL": str(secret(said, "Address"))}.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main(["token", "issue", "--json"])
    assert ended.value.code == 0
    assert json.loads(capfd.readouterr().out)["token"]["project"]["id"] == chosen["FLEETCRON_PROJECT_ID"]
    assert secret(said, "Data") == str(tmp_path / "state")


def test_a_lost_password_is_chosen_anew(
    serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(tmp_path):
        pass
    (tmp_path / "sign-in.env").unlink()
    with serving(tmp_path) as forgetful:
        assert "start with FLEETCRON_ADMIN_PASSWORD=... set" in forgetful
    with serving(tmp_path, FLEETCRON_ADMIN_PASSWORD="chosen anew") as said:
        monkeypatch.setenv("FLEETCRON_URL", str(secret(said, "Address")))
        monkeypatch.setenv("FLEETCRON_PASSWORD", "chosen anew")
        with pytest.raises(SystemExit) as ended:
            main(["server", "list"])
    warned, answered = capfd.readouterr().err.splitlines()
    # The service speaks on the same standard error: that a password was set from outside is told.
    assert warned.endswith("the administrator's password was set from FLEETCRON_ADMIN_PASSWORD")
    assert (ended.value.code, answered) == (0, "No servers.")


def test_settings_that_cannot_be_meant_are_misuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLEETCRON_ACCESS_KEY", "ALONE")
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--port", "0", "--data-dir", str(tmp_path)])
    assert ended.value.code == 2
    assert "FLEETCRON_SECRET_KEY" in capsys.readouterr().err


def test_a_sign_in_file_that_is_somebody_elses_stops_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("don't lose this")
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--port", "0", "--data-dir", str(tmp_path / "d"), "--sign-in-file", str(tmp_path / "notes.txt")])
    assert ended.value.code == 2
    assert "notes.txt" in capsys.readouterr().err
