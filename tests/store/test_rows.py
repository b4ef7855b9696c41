"""A noun's row: the noun comes back as it was, and text order is time order."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from builders import a_rule, a_subtask, a_target, a_task, an_execution
from fleetcron.domain.execution import Evidence, Execution, ResultCode, Status, Subtask
from fleetcron.domain.schedule import Cycle
from fleetcron.domain.task import TargetKind, Task
from fleetcron.store.database import Database
from fleetcron.store.rows import Rows, Value, json_of, text_of

TASKS = Rows(Task, "tasks")
# Surrogates are no text: they stand in no JSON and in no database.
TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)
INSTANTS = st.datetimes(datetime(1970, 1, 1), datetime(9998, 12, 31), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda instant: instant.replace(microsecond=instant.microsecond // 1000 * 1000)
)
DATES = st.dates(date(1970, 1, 1), date(9998, 12, 31))


@given(
    texts=st.lists(TEXTS, min_size=4, max_size=4),
    description=st.none() | TEXTS,
    enforcement=st.none() | st.booleans(),
    enabled=st.booleans(),
    anchor=st.none() | DATES,
    next_fire_at=st.none() | INSTANTS,
    kinds=st.lists(st.sampled_from(TargetKind), max_size=3),
    cycle=st.sampled_from(Cycle),
)
@example(
    texts=["null", "true", "0", "1e5"],
    description="null",
    enforcement=False,
    enabled=True,
    anchor=None,
    next_fire_at=None,
    kinds=[],
    cycle=Cycle.ONCE,
)
def test_a_noun_comes_back_as_it_was(
    *,
    texts: list[str],
    description: str | None,
    enforcement: bool | None,
    enabled: bool,
    anchor: date | None,
    next_fire_at: datetime | None,
    kinds: list[TargetKind],
    cycle: Cycle,
) -> None:
    task_id, project_id, name, zone = texts
    task = a_task(
        task_id,
        project_id=project_id,
        name=name,
        description=description,
        enforcement=enforcement,
        enabled=enabled,
        anchor=anchor,
        next_fire_at=next_fire_at,
        targets=tuple(a_target(name, kind) for kind in kinds),
        rule=a_rule(cycle, zone=zone, expires=description),
    )
    assert TASKS.read(TASKS.values(task)) == task


def test_nouns_come_back_through_the_database_as_they_were(database: Database) -> None:
    execution = an_execution(enforcement=True, began_at=datetime(2026, 3, 1, 12, 0, 0, 7000, UTC))
    subtask = a_subtask(
        status=Status.FAILED,
        ticket="null",
        result_code=ResultCode.USERS,
        result_message="1",
        evidence=Evidence.ACCEPTED,
    )
    nouns: list[tuple[Execution | Subtask, str]] = [(execution, "executions"), (subtask, "subtasks")]
    for noun, table in nouns:
        rows = Rows(type(noun), table)
        with database.transaction() as tx:
            tx.execute(rows.insert, rows.values(noun))
            (row,) = tx.execute(f"SELECT {rows.columns} FROM {table}")  # noqa: S608
        assert rows.read(row) == noun


@given(INSTANTS, INSTANTS)
def test_the_order_of_the_texts_is_the_order_of_the_instants(one: datetime, other: datetime) -> None:
    assert (text_of(one) < text_of(other)) == (one < other)
    assert (text_of(one) == text_of(other)) == (one == other)


def test_an_instant_is_written_in_utc_with_milliseconds() -> None:
    shanghai = timezone(timedelta(hours=8))
    assert text_of(datetime(2022, 3, 7, 18, 40, 43, 858999, shanghai)) == "2022-03-07T10:40:43.858Z"


def test_a_row_that_is_no_nouns_is_refused() -> None:
    values = list(TASKS.values(a_task()))
    values[TASKS.names.index("task_type")] = "EXPLODE_SERVER"
    with pytest.raises(msgspec.ValidationError):
        TASKS.read(values)


def test_some_values_of_a_noun_are_those_of_its_row() -> None:
    task = a_task(enforcement=None, next_fire_at=datetime(2026, 3, 1, 12, 0, 0, 7000, UTC))
    row = dict(zip(TASKS.names, TASKS.values(task), strict=True))
    names = ("next_fire_at", "rule", "enabled", "enforcement", "task_id")
    assert TASKS.some(*names)(task) == tuple(row[name] for name in names)


def test_many_rows_are_read_out_of_one_parameter(database: Database) -> None:
    rows: list[list[Value]] = [["a 'b' \"c\" \\ ☃", 1], ["", -(2**62)], [None, 0]]
    with database.snapshot() as tx:
        read = tx.execute(
            "SELECT value ->> 0, CAST(value ->> 1 AS BIGINT) FROM json_each(?)", (json_of(rows),)
        ).fetchall()
    assert [list(row) for row in read] == rows


def test_many_nouns_are_written_at_once_and_changed_at_once(database: Database) -> None:
    rows = Rows(Execution, "executions")
    at = datetime(2026, 3, 1, 12, 0, 0, 7000, UTC)
    first = an_execution("e1", ordinal=1, total=2, enforcement=True)
    second = an_execution("e2", ordinal=2, fire_at=at, total=3, zone="a 'b' \"c\" \\ ☃ %s")
    change = rows.update_many(("record", "running", "began_at"), ("task_id", "ordinal", "fire_at"), record=bytes)
    values = rows.some("running", "began_at", "task_id", "ordinal", "fire_at")
    began = [msgspec.structs.replace(one, running=one.total, began_at=at) for one in (first, second)]
    with database.transaction() as tx:
        tx.write(rows.insert_many, [rows.values(first), rows.values(second)])
        read = [rows.read(row) for row in tx.execute(f"SELECT {rows.columns} FROM executions ORDER BY ordinal")]  # noqa: S608
        assert read == [first, second]
        tx.write(change, [(b'"\\u0000 \xe2\x98\x83"', *values(one)) for one in began])
        read = [rows.read(row) for row in tx.execute(f"SELECT {rows.columns} FROM executions ORDER BY ordinal")]  # noqa: S608
        records = tx.execute("SELECT record FROM executions").fetchall()
    assert read == began
    assert records == [(b'"\\u0000 \xe2\x98\x83"',)] * 2


def test_a_change_of_many_leaves_others_as_they_are(database: Database) -> None:
    rows = Rows(Subtask, "subtasks")
    shares = [a_subtask(ordinal) for ordinal in (1, 2, 3)]
    change = rows.update_many(("ticket", "sends"), ("execution_id", "ordinal"))
    with database.transaction() as tx:
        tx.write(rows.insert_many, [rows.values(share) for share in shares])
        tx.write(change, [("t2", 5, "e1", 2), (None, 7, "e1", 9)])
        tx.write(change, [])
        read = [rows.read(row) for row in tx.execute(f"SELECT {rows.columns} FROM subtasks ORDER BY ordinal")]  # noqa: S608
    assert read == [shares[0], msgspec.structs.replace(shares[1], ticket="t2", sends=5), shares[2]]
