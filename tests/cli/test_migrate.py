"""The schema is brought up to date by whoever looks after the database, and told."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from fleetcron.cli import main
from fleetcron.store.partitions import make_ahead
from fleetcron.store.postgresql import PostgresqlDatabase


def ended(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert isinstance(end.value.code, int)
    return end.value.code


def test_what_was_done_is_said_and_a_second_time_there_is_nothing_to_do(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLEETCRON_DATABASE", postgresql_url)
    assert ended("migrate") == 0
    said = capsys.readouterr().out
    assert said.startswith("Took the steps 1")
    assert said.count("executions_") == said.count("subtasks_") == 5
    assert ended("migrate", "--database", postgresql_url) == 0
    assert capsys.readouterr().out == "The schema is up to date.\n"
    with closing(PostgresqlDatabase(postgresql_url)) as database:
        assert make_ahead(database, database.now()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "FLEETCRON_DATABASE"),
        (("--database", "mysql://somewhere"), 2, "must be a URL like postgresql://"),
        (("--database", "postgresql://127.0.0.1:1/nowhere"), 7, "does not answer"),
    ],
)
def test_a_database_that_is_none_or_away_is_said(
    arguments: tuple[str, ...],
    code: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("FLEETCRON_DATABASE", raising=False)
    assert ended("migrate", *arguments) == code
    assert words in capsys.readouterr().err


def test_a_password_in_the_url_is_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for url in ("postgresql://u:hush-hush@127.0.0.1:1/n", "postgresql://u:hush-hush@127.0.0.1:x/n?nonsense=1"):
        assert ended("migrate", "--database", url) != 0
        printed = capsys.readouterr()
        assert "hush-hush" not in printed.out + printed.err
