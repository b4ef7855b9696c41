"""History is kept for as long as it shall be, and pages and counts are right at every moment."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

import pytest

from builders import NOW, Clock, a_subtask, a_task, an_execution, eventually
from fleetcron.control.history import History
from fleetcron.domain.access import Caller
from fleetcron.domain.execution import Status
from fleetcron.engine import keeper as module
from fleetcron.engine.keeper import Keeper
from fleetcron.errors import Unavailable
from fleetcron.store import executions, subtasks, tasks
from fleetcron.store.database import Database
from fleetcron.store.partitions import make_ahead
from fleetcron.store.postgresql import PostgresqlDatabase

DAY = timedelta(days=1)
ADA = Caller(user_id="u", user_name="ada", account_id="default", administrator=True, project_id=None)


@pytest.fixture
def database(either_database: Database) -> Database:
    """An empty database with the projects p1 and p2, once SQLite, once PostgreSQL."""
    return either_database


def id_at(instant: datetime, number: int) -> str:
    milliseconds = int(instant.timestamp() * 1000)
    return f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}-7000-8000-{number:012x}"


def fired_daily(database: Database, days: int, *, unended: tuple[int, ...] = (), task_id: str = "t1") -> None:
    """A task that fired daily for so many days until NOW; without an end are those of these ordinals."""
    with database.transaction() as tx:
        tasks.insert(tx, a_task(task_id, last_ordinal=days))
        for ordinal in range(1, days + 1):
            fire_at = NOW - (days - ordinal) * DAY
            key = id_at(fire_at, ordinal)
            over = {} if ordinal in unended else {"ended_at": fire_at, "status": Status.SUCCESS}
            executions.insert(
                tx, [an_execution(key, task_id=task_id, ordinal=ordinal, fire_at=fire_at, total=1, **over)]
            )
            subtasks.insert(tx, [a_subtask(1, key)])


def kept(database: Database, *, task_id: str = "t1", limit: int = 1000) -> tuple[int, list[int]]:
    """What a caller is told: how many executions there are, and the ordinals of the pages together."""
    ordinals: list[int] = []
    count = 1
    history = History(database)
    while len(ordinals) < count:
        count, page = history.executions(ADA, "p1", task_id, offset=len(ordinals), limit=limit)
        if not page:
            break
        ordinals += [one.ordinal for one in page if not isinstance(one, bytes)]
    return count, ordinals


def test_nothing_is_forgotten_where_nothing_is_said(database: Database) -> None:
    fired_daily(database, 40)
    assert Keeper(database, None).tick(NOW + 9999 * DAY) == 0
    assert kept(database) == (40, [*range(40, 0, -1)])


def test_what_is_older_goes_and_the_pages_are_dense_from_the_first_ordinal(database: Database) -> None:
    fired_daily(database, 100)
    keeper = Keeper(database, 30)
    assert keeper.tick(NOW) == 69
    # The thirtieth day before NOW is kept to the instant.
    assert kept(database, limit=7) == (31, [*range(100, 69, -1)])
    assert keeper.tick(NOW) == 0
    with database.snapshot() as tx:
        assert tx.execute("SELECT count(*) FROM subtasks").fetchone() == (31,)


def test_whole_months_go_as_such_and_the_months_ahead_are_made(postgresql_database: PostgresqlDatabase) -> None:
    """A month is kept until its last day is over."""
    for months_ago in (5, 3, 1):
        make_ahead(postgresql_database, NOW - months_ago * 30 * DAY)
    fired_daily(postgresql_database, 100)
    with postgresql_database.snapshot() as tx:
        assert tx.execute("SELECT count(*) FROM executions_others").fetchone() == (0,)
    # NOW is 1 March 12:00 and 30 days before is 30 January: November to December are over, January is not.
    assert Keeper(postgresql_database, 30).tick(NOW) == 40
    assert kept(postgresql_database) == (60, [*range(100, 40, -1)])
    with postgresql_database.snapshot() as tx:
        parts = {name for (name,) in tx.execute("SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r'")}
    assert {"executions_2026_01", "subtasks_2026_01", "executions_2026_06", "subtasks_2026_06"} <= parts
    assert not [part for part in parts if "_2025_" in part]


def test_nothing_unfinished_is_forgotten_nor_what_came_after_it(database: Database) -> None:
    fired_daily(database, 100, unended=(20,))
    assert Keeper(database, 30).tick(NOW) == 19
    assert kept(database) == (81, [*range(100, 19, -1)])


def test_an_immediate_action_leaves_nothing_behind(database: Database) -> None:
    fired_daily(database, 1)
    with database.transaction() as tx:
        tasks.delete(tx, "p1", ["t1"], NOW)
    assert Keeper(database, 1).tick(NOW + DAY) == 0
    assert Keeper(database, 1).tick(NOW + 40 * DAY) == 1
    with database.snapshot() as tx:
        counts = [tx.execute(f"SELECT count(*) FROM {name}").fetchone() for name in ("tasks", "executions", "subtasks")]  # noqa: S608  (the test's own)
    assert counts == [(0,), (0,), (0,)]


def test_readers_see_whole_pages_while_history_is_shortened(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleetcron.store.retention.EXECUTIONS_MAX", 3)
    fired_daily(database, 200)
    torn: list[tuple[int, list[int]]] = []
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            count, page = History(database).executions(ADA, "p1", "t1", offset=0, limit=1000)
            ordinals = [one.ordinal for one in page if not isinstance(one, bytes)]
            if (count, ordinals) != (len(ordinals), [*range(200, 200 - count, -1)]):
                torn.append((count, ordinals))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        assert Keeper(database, 30).tick(NOW) == 169
    finally:
        over.set()
        reader.join()
    assert torn == []
    assert kept(database)[0] == 31


def test_two_keepers_at_once_forget_everything_once(database: Database) -> None:
    fired_daily(database, 60)
    gone: list[int] = []
    keepers = [threading.Thread(target=lambda: gone.append(Keeper(database, 30).tick(NOW))) for _ in range(2)]
    for keeper in keepers:
        keeper.start()
    for keeper in keepers:
        keeper.join()
    assert sum(gone) == 29
    assert kept(database) == (31, [*range(60, 29, -1)])


def test_its_thread_works_at_once_and_survives_what_goes_wrong(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "ROUND_SECONDS", 0.01)
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.01)
    failures = iter([Unavailable("it is away"), ZeroDivisionError()])

    def now() -> datetime:
        for failure in failures:
            raise failure
        return clock()

    fired_daily(database, 40)
    keeper = Keeper(database, 30)
    keeper.start(now)
    try:
        eventually(lambda: kept(database)[0] == 31)
        # And again, when the time has come.
        clock.advance(DAY.total_seconds())
        eventually(lambda: kept(database)[0] == 30)
    finally:
        keeper.stop()
    assert "keeper: it is away" in caplog.messages
    assert "keeper: a round has failed" in caplog.messages
