"""Who asks, and where the service is: taken from the environment, in a fixed order."""

from __future__ import annotations

import io
import json
import shlex
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from certificates import self_signed
from fleetcron.cli import main
from fleetcron.cli.sign_in import NOBODY, address

Run = Callable[..., tuple[int, str, str]]
Serving = Callable[..., AbstractContextManager[str]]


def exports(file: Path) -> dict[str, str]:
    """What the sign-in file exports."""
    words = shlex.split(file.read_text(), comments=True)
    return dict(word.split("=", 1) for word in words if "=" in word)


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, "http://127.0.0.1:8774"),
        ({"FLEETCRON_PORT": "9000"}, "http://127.0.0.1:9000"),
        ({"FLEETCRON_HOST": "0.0.0.0"}, "http://127.0.0.1:8774"),  # noqa: S104  (to be called, not bound)
        ({"FLEETCRON_HOST": "::"}, "http://[::1]:8774"),
        ({"FLEETCRON_HOST": "fleet.example", "FLEETCRON_PORT": "80"}, "http://fleet.example:80"),
        ({"FLEETCRON_HOST": "ignored", "FLEETCRON_URL": "https://fleet.example/"}, "https://fleet.example"),
    ],
)
def test_the_address_comes_from_the_environment(
    settings: dict[str, str], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert address() == url


def test_a_token_comes_before_a_key(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("server", "list")[0] == 0
    monkeypatch.setenv("FLEETCRON_TOKEN", "wrong")
    code, out, err = run("server", "list")
    assert (code, out) == (3, "")
    assert "(HTTP 401, X-Request-Id " in err


def test_a_key_comes_before_a_password(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETCRON_PASSWORD", "wrong")
    assert run("server", "list")[0] == 0
    monkeypatch.delenv("FLEETCRON_SECRET_KEY")
    assert run("server", "list")[0] == 3


def test_a_named_user_comes_before_a_key(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETCRON_USER", "admin")
    assert run("server", "list")[0] == 0
    monkeypatch.setenv("FLEETCRON_USER", "nobody-of-this-name")
    code, out, err = run("server", "list")
    assert (code, out) == (2, "")
    assert "FLEETCRON_USER is nobody-of-this-name, but FLEETCRON_ACCESS_KEY may be somebody else's" in err
    monkeypatch.setenv("FLEETCRON_PASSWORD", "wrong")
    assert run("server", "list")[0] == 3


def test_a_certificate_is_trusted_that_the_environment_names(
    serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    certificate, key = self_signed(tmp_path)

    def ask() -> tuple[object, str]:
        with pytest.raises(SystemExit) as ended:
            main(["server", "list"])
        return ended.value.code, capfd.readouterr().err

    with serving(tmp_path, "--tls-certificate", str(certificate), "--tls-key", str(key)):
        for name, value in exports(tmp_path / "sign-in.env").items():
            monkeypatch.setenv(name, value)
        assert ask()[0] == 7
        monkeypatch.setenv("FLEETCRON_CA_FILE", str(certificate))
        assert ask() == (0, "No servers.\n")
    for unreadable in (key, tmp_path / "missing.pem"):
        monkeypatch.setenv("FLEETCRON_CA_FILE", str(unreadable))
        code, err = ask()
        assert code == 2
        assert f"FLEETCRON_CA_FILE cannot be read as certificates in PEM: {unreadable}" in err


def test_a_password_is_enough_and_leaves_no_token_behind(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLEETCRON_ACCESS_KEY")
    assert run("server", "list")[0] == 0


def test_the_administrators_password_is_sent_for_nobody_else(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLEETCRON_ACCESS_KEY")
    monkeypatch.setenv("FLEETCRON_USER", "somebody")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert run("server", "list") == (3, "", f"Error: {NOBODY}\n")


def test_without_a_project_the_first_one_is_meant(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLEETCRON_PROJECT_ID")
    assert run("server", "list")[0] == 0
    assert run("server", "list", "--project", "f" * 32)[0] == 4


def test_a_signature_holds_for_every_character_of_an_id_and_a_filter(run: Run) -> None:
    strange = "a b+c&d=é%~*:,;?#"
    assert run("server", "show", strange)[0] == 5
    assert json.loads(run("server", "list", "--name", strange, "--json")[1])["count"] == 0
