"""The months of history in PostgreSQL: made without losing anything, and dropped without leaving a gap."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import uuid_utils

from builders import a_subtask, a_task, an_execution
from fleetcron.domain.execution import Status
from fleetcron.errors import Unavailable
from fleetcron.store import executions, partitions, subtasks, tasks
from fleetcron.store.database import Database, Transaction
from fleetcron.store.partitions import EXECUTIONS, SUBTASKS, Month, ahead, make_ahead, month_of
from fleetcron.store.postgresql import PostgresqlDatabase

OCTOBER = Month(year=2026, number=10)
NOVEMBER = OCTOBER.later(1)
MIDDLE = datetime(2026, 11, 15, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def database(postgresql_database: PostgresqlDatabase) -> PostgresqlDatabase:
    """An empty database with the projects p1 and p2, and no month made yet."""
    return postgresql_database


def id_at(instant: datetime, number: int = 0) -> str:
    """A UUIDv7 of that instant."""
    milliseconds = int(instant.timestamp() * 1000)
    return f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}-7000-8000-{number:012x}"


def record(tx: Transaction, fires: list[datetime], task_id: str = "t1", *, ended: bool = True, first: int = 1) -> None:
    """A task that has fired at these instants, each time on one server; numbered from ``first``."""
    tasks.insert(tx, a_task(task_id, first_ordinal=first, last_ordinal=first + len(fires) - 1))
    for ordinal, fire_at in enumerate(fires, start=first):
        key = id_at(fire_at, ordinal + 1000 * int(task_id[1:]))
        over = {"ended_at": fire_at, "status": Status.SUCCESS} if ended else {}
        execution = an_execution(
            key, task_id=task_id, ordinal=ordinal, fire_at=fire_at, total=1, succeeded=int(ended), **over
        )
        executions.insert(tx, [execution])
        subtasks.insert(tx, [a_subtask(1, key, **over)])


def make(database: Database, *months: Month) -> None:
    for month in months:
        for table in (EXECUTIONS, SUBTASKS):
            with database.transaction() as tx:
                partitions.make(tx, table, month)


def where(tx: Transaction, table: str) -> list[str]:
    """The part that each row of a table lies in, in the order of their ids."""
    rows = tx.execute(f"SELECT CAST(CAST(tableoid AS REGCLASS) AS TEXT) FROM {table} ORDER BY execution_id")  # noqa: S608  (the test's own)
    return [str(part) for (part,) in rows]


def drop(database: Database, month: Month) -> tuple[int | None, bool]:
    with database.transaction() as tx:
        gone = partitions.drop_executions(tx, month)
    with database.transaction() as tx:
        return gone, partitions.drop_subtasks(tx, month)


def bounds(database: Database, task_id: str = "t1") -> tuple[int, int] | None:
    with database.snapshot() as tx:
        return executions.bounds(tx, "p1", task_id)


def test_months_follow_one_another_over_the_years() -> None:
    assert month_of(datetime(2026, 12, 31, 23, 59, tzinfo=UTC)).later(1) == Month(year=2027, number=1)
    assert Month(year=2027, number=1).later(-1) == Month(year=2026, number=12)
    assert month_of(datetime.fromisoformat("2026-11-01T05:00:00+08:00")) == OCTOBER
    assert ahead(MIDDLE) == [OCTOBER.later(months) for months in range(5)]


def test_a_part_is_bounded_by_the_first_instants_of_its_month() -> None:
    assert NOVEMBER.bounds(EXECUTIONS) == ("2026-11-01T00:00:00.000Z", "2026-12-01T00:00:00.000Z")
    first, end = NOVEMBER.bounds(SUBTASKS)
    last_of_october, first_of_november = NOVEMBER.begins_at - timedelta(milliseconds=1), NOVEMBER.begins_at
    assert id_at(last_of_october, 2**48 - 1) < first <= id_at(first_of_november)
    assert id_at(first_of_november) < end <= id_at(NOVEMBER.later(1).begins_at)


def test_the_ids_of_the_service_lie_in_the_month_in_which_they_are_made() -> None:
    made = str(uuid_utils.uuid7())
    first, end = month_of(datetime.now(UTC)).bounds(SUBTASKS)
    assert first < made < end


def test_the_months_ahead_are_made_once_however_many_nodes_make_them(database: PostgresqlDatabase) -> None:
    with ThreadPoolExecutor(4) as nodes:
        made = [part for parts in nodes.map(lambda _: make_ahead(database, MIDDLE), range(4)) for part in parts]
    names = [f"{table}_2026_{number}" for table in (EXECUTIONS, SUBTASKS) for number in (10, 11, 12)]
    names += [f"{table}_2027_{number}" for table in (EXECUTIONS, SUBTASKS) for number in ("01", "02")]
    assert sorted(made) == sorted(names)
    assert make_ahead(database, MIDDLE) == []
    assert make_ahead(database, MIDDLE + timedelta(days=30)) == ["executions_2027_03", "subtasks_2027_03"]


def test_what_is_recorded_lies_in_its_month_and_in_the_default_part_where_there_is_none(
    database: PostgresqlDatabase,
) -> None:
    make(database, OCTOBER, NOVEMBER)
    with database.transaction() as tx:
        record(tx, [MIDDLE - 90 * DAY, OCTOBER.begins_at, MIDDLE, MIDDLE + 90 * DAY])
        assert where(tx, EXECUTIONS) == [
            *("executions_others", "executions_2026_10", "executions_2026_11", "executions_others")
        ]
        assert where(tx, SUBTASKS) == ["subtasks_others", "subtasks_2026_10", "subtasks_2026_11", "subtasks_others"]


def test_a_month_that_is_made_late_takes_what_lies_in_the_default_part(database: PostgresqlDatabase) -> None:
    with database.transaction() as tx:
        record(tx, [MIDDLE - 30 * DAY, MIDDLE])
        before = tx.execute("SELECT * FROM executions ORDER BY ordinal").fetchall()
    make(database, NOVEMBER)
    with database.snapshot() as tx:
        assert where(tx, EXECUTIONS) == ["executions_others", "executions_2026_11"]
        assert where(tx, SUBTASKS) == ["subtasks_others", "subtasks_2026_11"]
        assert tx.execute("SELECT * FROM executions ORDER BY ordinal").fetchall() == before


def test_a_month_that_is_made_late_holds_what_the_table_holds(database: PostgresqlDatabase) -> None:
    """Its keys, its constraints and its indexes are those of every other part."""
    make(database, OCTOBER)
    said = "SELECT replace(indexdef, ?, '') FROM pg_indexes WHERE tablename = ?"
    with database.snapshot() as tx:
        made = [len(tx.execute(said, (part, part)).fetchall()) for part in ("executions_2026_10", "executions_others")]
        attached = tx.execute(
            "SELECT count(*) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE c.relname LIKE 'executions_2026_10%' AND c.relkind = 'i'"
        ).fetchone()
    assert made[0] == made[1]
    # Every index belongs to one of the whole table's: none was made anew beside it.
    assert attached == (made[1],)


def test_a_month_drops_whole_and_history_begins_after_it(database: PostgresqlDatabase) -> None:
    make(database, OCTOBER, NOVEMBER)
    with database.transaction() as tx:
        record(tx, [OCTOBER.begins_at + n * DAY for n in range(40)])
        record(tx, [MIDDLE], "t2")
        record(tx, [MIDDLE - 30 * DAY], "t3", first=7)
    assert drop(database, OCTOBER) == (32, True)
    assert [bounds(database, task_id) for task_id in ("t1", "t2", "t3")] == [(32, 40), (1, 1), (8, 7)]
    with database.snapshot() as tx:
        assert len(executions.stretch(tx, "t1", 40, 1)) == 9
        assert tx.execute("SELECT count(*) FROM subtasks").fetchone() == (10,)
        assert tx.execute("SELECT to_regclass('executions_2026_10'), to_regclass('subtasks_2026_10')").fetchall() == [
            (None, None)
        ]
    # What is gone is gone.
    assert drop(database, OCTOBER) == (None, False)


def test_nothing_unfinished_is_ever_dropped(database: PostgresqlDatabase) -> None:
    make(database, OCTOBER)
    with database.transaction() as tx:
        record(tx, [OCTOBER.begins_at], "t1")
        record(tx, [OCTOBER.begins_at], "t2", ended=False)
    assert drop(database, OCTOBER) == (None, False)
    assert (bounds(database, "t1"), bounds(database, "t2")) == ((1, 1), (1, 1))


def test_a_month_stays_while_a_gap_would_be_left(database: PostgresqlDatabase) -> None:
    """A clock that was set back may have put a later fire into an earlier month."""
    make(database, OCTOBER, NOVEMBER)
    with database.transaction() as tx:
        record(tx, [NOVEMBER.begins_at, NOVEMBER.begins_at - DAY, MIDDLE])
    assert drop(database, OCTOBER) == (None, False)
    assert bounds(database) == (1, 3)
    with database.snapshot() as tx:
        assert len(executions.stretch(tx, "t1", 3, 1)) == 3


def test_subtasks_stay_as_long_as_the_executions_that_were_recorded_with_them(database: PostgresqlDatabase) -> None:
    """A fire of October that was missed may have been recorded in November; or the other way round by another clock."""
    make(database, OCTOBER, NOVEMBER)
    late = id_at(OCTOBER.begins_at)
    with database.transaction() as tx:
        tasks.insert(tx, a_task(last_ordinal=1))
        executions.insert(tx, [an_execution(late, fire_at=MIDDLE, ended_at=MIDDLE, status=Status.SUCCESS)])
        subtasks.insert(tx, [a_subtask(1, late)])
    assert drop(database, OCTOBER) == (0, False)
    assert drop(database, NOVEMBER)[0] == 1
    assert drop(database, OCTOBER) == (None, True)


def test_what_is_over_is_over_to_its_last_instant(database: PostgresqlDatabase) -> None:
    make(database, OCTOBER, NOVEMBER)
    with database.snapshot() as tx:
        assert partitions.over(tx, EXECUTIONS, NOVEMBER.begins_at) == [OCTOBER]
        assert partitions.over(tx, EXECUTIONS, NOVEMBER.begins_at - timedelta(milliseconds=1)) == []
        assert partitions.over(tx, SUBTASKS, MIDDLE + 90 * DAY) == [OCTOBER, NOVEMBER]


def test_a_part_in_use_is_not_waited_for_and_loses_nothing(
    database: PostgresqlDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits for a whole table makes everybody else wait behind it."""
    monkeypatch.setattr(partitions, "_LOCK_WAIT", "SET LOCAL lock_timeout = '100ms'")
    make(database, OCTOBER)
    with database.transaction() as tx:
        record(tx, [OCTOBER.begins_at])
    with database.snapshot() as reading:
        assert len(where(reading, EXECUTIONS)) == 1
        with pytest.raises(Unavailable):
            drop(database, OCTOBER)
        with pytest.raises(Unavailable):
            make(database, NOVEMBER)
    assert bounds(database) == (1, 1)
    make(database, NOVEMBER)
    assert drop(database, OCTOBER) == (1, True)
