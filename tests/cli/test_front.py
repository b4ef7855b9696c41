"""Options of the commands that answer people."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetcron.assembly.api import Welcome
from fleetcron.assembly.settings import DoorSettings
from fleetcron.cli.front import Front
from fleetcron.errors import BadSettings

WELCOME = Welcome(
    url="http://127.0.0.1:8774",
    data_dir=None,
    region="north",
    project_id="p1",
    user="admin",
    domain="default",
    admin_password="made just now",
    access_key=None,
    secret_key=None,
    generated=("admin_password",),
)


def test_secrets_come_out_of_the_environment_and_the_rest_is_as_the_options_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEETCRON_ADMIN_PASSWORD", "chosen")
    monkeypatch.setenv("FLEETCRON_PROJECT_ID", "p1")
    settings = DoorSettings(**Front(port=0, keys_file=tmp_path).settings())
    assert settings == DoorSettings(port=0, secret_keys=tmp_path, admin_password="chosen", project_id="p1")
    assert set(Front().settings()) == set(DoorSettings.__struct_fields__) - {"config"}


def test_who_starts_it_is_told_on_the_screen_and_in_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    front = Front(sign_in_file=tmp_path / "sign-in.env")
    front.check_sign_in_file()
    front.announce(WELCOME)
    said = capsys.readouterr().out
    assert "made just now" in said
    assert "  Data" not in said
    assert "made just now" in (tmp_path / "sign-in.env").read_text()


def test_a_file_that_cannot_be_written_leaves_the_secrets_on_the_screen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    Front(sign_in_file=tmp_path / "file" / "sign-in.env").announce(WELCOME)
    assert "made just now" in capsys.readouterr().out


def test_a_file_that_is_somebody_elses_is_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("don't lose this")
    with pytest.raises(BadSettings, match=r"notes\.txt"):
        Front(sign_in_file=tmp_path / "notes.txt").check_sign_in_file()
