"""The database of several machines, and whether one answers."""

from __future__ import annotations

import pytest

from builders import eventually
from fleetcron.assembly.databases import ANSWER_SECONDS_MAX, SILENT, Asked, Watch, open_database
from fleetcron.errors import BadSettings, Unavailable
from fleetcron.store.database import Database
from fleetcron.store.postgresql import migrate


class Seconds:
    """A monotonic clock that stands until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_database_that_answers_is_well(database: Database) -> None:
    assert Asked(database).trouble() is None


def test_what_has_not_answered_yet_or_not_for_a_while_is_in_trouble() -> None:
    seconds = Seconds()
    answers = [True]

    def question() -> None:
        if not answers[-1]:
            raise Unavailable("the database does not answer")

    watch = Watch(question, clock=seconds)
    assert watch.trouble() == SILENT
    watch.ask()
    assert watch.trouble() is None
    answers.append(False)
    seconds.now += ANSWER_SECONDS_MAX
    watch.ask()
    assert watch.trouble() is None
    seconds.now += 0.1
    assert watch.trouble() == SILENT


def test_a_watch_asks_by_itself_until_it_is_stopped() -> None:
    asked: list[int] = []
    watch = Watch(lambda: asked.append(1))
    watch.start()
    eventually(lambda: watch.trouble() is None)
    watch.stop()
    watch._thread.join(5)
    assert not watch._thread.is_alive()
    assert asked


def test_a_database_is_opened_by_its_url_once_it_is_migrated(postgresql_url: str) -> None:
    with pytest.raises(BadSettings, match="fleetcron migrate"):
        open_database(postgresql_url, connections_max=2)
    migrate(postgresql_url)
    database = open_database(postgresql_url, connections_max=2)
    assert database.now().tzinfo is not None
    database.close()


def test_a_url_that_is_none_of_postgresqls_is_refused() -> None:
    with pytest.raises(BadSettings, match="postgresql://"):
        open_database("mysql://somewhere", connections_max=2)
