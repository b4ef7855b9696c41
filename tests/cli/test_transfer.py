"""From one process to many machines with one command, and back to work."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest

from builders import NOW
from fleetcron.cli import main
from fleetcron.control.access import Access
from fleetcron.store.postgresql import PostgresqlDatabase
from fleetcron.store.sqlite import FILE_NAME
from fleetcron.store.vault import KEYS_NAME, open_vault

Serving = Callable[..., AbstractContextManager[str]]


def ended(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert isinstance(end.value.code, int)
    return end.value.code


@pytest.fixture
def url(postgresql_url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> str:
    """An empty database with the schema, as the environment names it."""
    monkeypatch.setenv("FLEETCRON_DATABASE", postgresql_url)
    assert ended("migrate") == 0
    capfd.readouterr()
    return postgresql_url


def test_a_service_moves_in_once_it_is_stopped(
    serving: Serving, url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    chosen = {"FLEETCRON_ACCESS_KEY": "CHOSENKEY", "FLEETCRON_SECRET_KEY": "chosen-secret"}
    folder = tmp_path / "state"
    with serving(tmp_path, **chosen):
        assert ended("import", "--from", f"sqlite:{folder}") == 2
        assert "in use by another fleetcron process" in capfd.readouterr().err
    assert ended("import", "--from", f"sqlite:{folder}") == 0
    printed = capfd.readouterr()
    assert "Moved 1 users, 0 tasks, 0 executions, 0 subtasks, " in printed.out
    assert str(folder / KEYS_NAME) in printed.out
    assert "FLEETCRON_SECRET_KEYS_FILE" in printed.out
    assert "The way back is to end all of them first" in printed.out
    # No bar where nobody sees it.
    assert printed.err == ""
    with closing(PostgresqlDatabase(url)) as database:
        access = Access(database, vault=open_vault(database, folder / KEYS_NAME))
        assert access.signing_key("CHOSENKEY", NOW)[0] == "chosen-secret"
    # The database in the folder may be named as well; and nothing is moved twice.
    assert ended("import", "--from", f"sqlite:{folder / FILE_NAME}") == 2
    assert "is not empty" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("source", "words"),
    [("state", "must be sqlite:FOLDER"), ("sqlite:nowhere", "there is no database in"), ("", "must be sqlite:FOLDER")],
)
def test_a_source_that_is_none_is_said(  # noqa: PLR0917  (pytest gives them by name)
    source: str,
    words: str,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert ended("import", "--from", source) == 2
    assert words in capfd.readouterr().err
    assert [*tmp_path.iterdir()] == []
    assert url
