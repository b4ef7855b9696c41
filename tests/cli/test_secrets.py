"""Keys are made and changed at the service's own machine, with nobody signed in."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from fleetcron.cli import main
from fleetcron.store.sqlite import SqliteDatabase
from fleetcron.store.vault import KEYS_NAME, open_vault

Serving = Callable[..., AbstractContextManager[str]]


def ended(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert isinstance(end.value.code, int)
    return end.value.code


def test_a_key_is_a_fernet_key_and_new_each_time(capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for _ in range(2):
        assert ended("secrets", "key") == 0
        said.append(capsys.readouterr().out.strip())
    assert len(set(said)) == 2
    assert all(map(Fernet, said))


def test_a_service_goes_on_after_a_rotation(
    serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    chosen = {"FLEETCRON_ACCESS_KEY": "CHOSENKEY", "FLEETCRON_SECRET_KEY": "chosen-secret"}
    keys = tmp_path / "state" / KEYS_NAME
    with serving(tmp_path, **chosen):
        # A folder in use is not touched.
        assert ended("secrets", "rotate", "--data-dir", str(tmp_path / "state")) == 2
        assert "in use" in capfd.readouterr().err
    before = keys.read_text()
    assert ended("secrets", "rotate", "--data-dir", str(tmp_path / "state"), "--drop-old") == 0
    assert capfd.readouterr().out == "Sealed 1 secrets with a new key.\n"
    assert keys.read_text() != before
    with serving(tmp_path) as said:
        url = next(line.split()[-1] for line in said.splitlines() if line.strip().startswith("Address"))
        for name, value in {**chosen, "FLEETCRON_URL": url}.items():
            monkeypatch.setenv(name, value)
        assert ended("key", "list", "--json") == 0
    assert [one["access"] for one in json.loads(capfd.readouterr().out)["credentials"]] == ["CHOSENKEY"]


def test_keys_may_lie_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"{Fernet.generate_key().decode()}\n")
    with closing(SqliteDatabase(tmp_path / "state")) as database:
        open_vault(database, keys)
    monkeypatch.setenv("FLEETCRON_SECRET_KEYS_FILE", str(keys))
    monkeypatch.setenv("FLEETCRON_DATA_DIR", str(tmp_path / "state"))
    assert ended("secrets", "rotate") == 0
    assert len(keys.read_text().split()) == 2
    assert not (tmp_path / "state" / KEYS_NAME).exists()


def test_a_folder_without_a_database_is_misuse_and_none_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended("secrets", "rotate", "--data-dir", str(tmp_path / "nowhere")) == 2
    assert "no database" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_key_is_misuse_that_names_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(SqliteDatabase(tmp_path)) as database:
        open_vault(database)
    (tmp_path / KEYS_NAME).write_text("nonsense")
    assert ended("secrets", "rotate", "--data-dir", str(tmp_path)) == 2
    assert KEYS_NAME in capsys.readouterr().err


def test_the_secrets_of_many_machines_are_sealed_anew_in_their_database(
    migrated_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLEETCRON_DATABASE", migrated_url)
    assert ended("secrets", "rotate") == 2
    assert "FLEETCRON_SECRET_KEYS_FILE: must name" in capfd.readouterr().err
    keys = tmp_path / KEYS_NAME
    keys.write_text(f"{Fernet.generate_key().decode()}\n")
    before = keys.read_text()
    assert ended("secrets", "rotate", "--keys-file", str(keys)) == 0
    assert capfd.readouterr().out == "Sealed 0 secrets with a new key.\n"
    assert keys.read_text().splitlines()[1:] == before.splitlines()
