"""What the service tells whoever starts it: secrets once, and a file that a shell reads."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from fleetcron.assembly.api import Welcome
from fleetcron.cli.welcome import SECRETS, program_name, welcome_text, write_sign_in_file
from fleetcron.errors import BadSettings

FIRST = Welcome(
    url="http://127.0.0.1:8774",
    data_dir=Path("data"),
    region="cn-north-4",
    project_id="p" * 32,
    user="admin",
    domain="default",
    admin_password='it\'s $HOME `x` "y" #z',
    access_key="AK",
    secret_key="SK",
    generated=("admin_password", "access_key", "secret_key"),
)
LATER = msgspec.structs.replace(FIRST, admin_password=None, access_key=None, secret_key=None, generated=())


def sourced(file: Path, name: str) -> str:
    script = f'. "$0" && printf %s "${name}"'
    return subprocess.run(["sh", "-c", script, str(file)], check=True, capture_output=True, text=True).stdout


def test_the_first_start_shows_everything_once() -> None:
    said = welcome_text(FIRST, None)
    facts = (FIRST.url, "data", FIRST.project_id, "admin (domain default)", FIRST.admin_password, "AK", "SK")
    assert all(fact is not None and fact in said for fact in facts)
    assert "not shown again" in said


def test_a_later_start_shows_no_secret() -> None:
    said = welcome_text(LATER, None)
    assert FIRST.url in said
    assert not any(word in said for word in ("Password  ", "key", "not shown again"))
    assert "were shown at its first start" in said
    assert "start with FLEETCRON_ADMIN_PASSWORD=... set" in said


def test_where_secrets_are_is_not_explained_to_whoever_has_them(tmp_path: Path) -> None:
    file = tmp_path / "sign-in.env"
    given = msgspec.structs.replace(LATER, admin_password="given")
    write_sign_in_file(file, LATER)
    assert "were shown" in welcome_text(LATER, file)
    assert "were shown" not in welcome_text(given, file)
    write_sign_in_file(file, FIRST)
    assert "were shown" not in welcome_text(LATER, file)


def test_a_plain_shell_can_do_what_is_advised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = Path("sign in.env")
    write_sign_in_file(file, FIRST)
    said = welcome_text(FIRST, file, program="echo")
    advice = "\n".join(said.splitlines()[-2:])
    ran = subprocess.run(["sh", "-ec", advice], cwd="/", check=True, capture_output=True, text=True)
    assert ran.stdout == "server list\n"


def test_without_a_file_the_advice_says_the_address() -> None:
    assert welcome_text(FIRST, None).endswith("\n  FLEETCRON_URL=http://127.0.0.1:8774 fleetcron server list\n")


def test_a_program_that_is_not_to_be_found_is_called_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert program_name("my bin/fleetcron") == f"'{tmp_path}/my bin/fleetcron'"
    assert program_name("fleetcron/__main__.py") == f"{sys.executable} -m fleetcron"
    (tmp_path / "fleetcron").touch(mode=0o755)
    assert program_name("my bin/fleetcron") == "fleetcron"


def test_what_was_given_is_not_said_back() -> None:
    said = welcome_text(msgspec.structs.replace(FIRST, generated=("access_key",)), None)
    assert FIRST.admin_password is not None
    assert FIRST.admin_password not in said
    assert "AK" in said


def test_a_shell_reads_back_what_the_file_says(tmp_path: Path) -> None:
    file = tmp_path / "new folder" / "sign-in.env"
    write_sign_in_file(file, FIRST)
    assert sourced(file, "FLEETCRON_URL") == FIRST.url
    assert sourced(file, "FLEETCRON_PROJECT_ID") == FIRST.project_id
    secrets = [FIRST.admin_password, FIRST.access_key, FIRST.secret_key]
    assert [sourced(file, name) for name in SECRETS] == secrets


def test_only_its_owner_may_read_the_file_even_if_it_was_open_before(tmp_path: Path) -> None:
    file = tmp_path / "sign-in.env"
    file.write_text("")
    file.chmod(0o644)
    write_sign_in_file(file, FIRST)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_a_later_start_keeps_the_secrets_and_renews_the_address(tmp_path: Path) -> None:
    file = tmp_path / "sign-in.env"
    write_sign_in_file(file, FIRST)
    write_sign_in_file(file, msgspec.structs.replace(LATER, url="http://127.0.0.1:9", access_key="AK2"))
    assert sourced(file, "FLEETCRON_URL") == "http://127.0.0.1:9"
    assert [sourced(file, name) for name in SECRETS] == [FIRST.admin_password, "AK2", "SK"]


def test_a_file_that_is_none_of_ours_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("don't lose this")
    with pytest.raises(BadSettings, match="is not a sign-in file"):
        write_sign_in_file(file, FIRST)
    assert file.read_text() == "don't lose this"
