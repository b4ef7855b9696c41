"""The months of history in PostgreSQL: made ahead, and dropped whole when their time is over.

An execution lies in the month of its fire; its subtasks in the month in which it was recorded, which the execution's
id begins with. What no month has been made for lies in the default part, and is moved when its month is made.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

import msgspec

from fleetcron.store.database import Database, Transaction
from fleetcron.store.rows import text_of

EXECUTIONS: Final = "executions"
SUBTASKS: Final = "subtasks"
OTHERS: Final = "_others"

MONTHS_AHEAD = 3
"""Months after the present one that are made ahead: so long the keeper may be away."""

_TURN: Final = "partitions"

# What concerns a whole month may read it whole, and takes as long as it takes.
_PATIENCE: Final = (
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL idle_in_transaction_session_timeout = 0",
    "SET LOCAL enable_seqscan = on",
    "SET LOCAL enable_hashjoin = on",
)
# Whoever waits for a whole table makes everybody else wait behind it; the next round tries again.
_LOCK_WAIT: Final = "SET LOCAL lock_timeout = '2s'"

_MADE: Final = """
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = to_regclass(?) ORDER BY c.relname
"""


class Month(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A month of UTC, as the parts of a table are named and bounded."""

    year: int
    number: int

    @property
    def begins_at(self) -> datetime:
        """Its first instant."""
        return datetime(self.year, self.number, 1, tzinfo=UTC)

    def later(self, months: int) -> Month:
        """The month so many months later, or earlier with a minus."""
        count = self.year * 12 + self.number - 1 + months
        return Month(year=count // 12, number=count % 12 + 1)

    def part_of(self, table: str) -> str:
        """The name of its part of a table: ``executions_2026_11``."""
        return f"{table}_{self.year:04}_{self.number:02}"

    def bounds(self, table: str) -> tuple[str, str]:
        """The text at which its part of a table begins, and the text before which it ends."""
        first, last = self.begins_at, self.later(1).begins_at
        return (text_of(first), text_of(last)) if table == EXECUTIONS else (_id_at(first), _id_at(last))


def month_of(instant: datetime) -> Month:
    """The month in which an instant lies."""
    there = instant.astimezone(UTC)
    return Month(year=there.year, number=there.month)


def ahead(now: datetime) -> list[Month]:
    """The months that should be there: from the last one, whose fires may still be recorded, to MONTHS_AHEAD."""
    return [month_of(now).later(months) for months in range(-1, MONTHS_AHEAD + 1)]


def missing(tx: Transaction, table: str, months: Iterable[Month]) -> list[Month]:
    """Those of the months for which the table has no part yet, in their order."""
    made = _parts(tx, table)
    return [month for month in sorted(set(months)) if month.part_of(table) not in made]


def make(tx: Transaction, table: str, month: Month) -> bool:
    """Make a table's part for a month, with what lies in the default part for it; False if it is there already.

    Writers of the default part wait meanwhile. Each table takes a transaction of its own, so that nobody who holds one
    waits for the other. Nodes follow one another.
    """
    tx.take_turn(_TURN)
    if not missing(tx, table, [month]):
        return False
    for setting in (*_PATIENCE, _LOCK_WAIT):
        tx.execute(setting)
    part, others, (first, end) = month.part_of(table), table + OTHERS, month.bounds(table)
    key = "fire_at" if table == EXECUTIONS else "execution_id"
    tx.execute(f"LOCK TABLE {others} IN ACCESS EXCLUSIVE MODE")
    tx.execute(f"CREATE TABLE {part} (LIKE {table} INCLUDING ALL)")
    tx.execute(
        f"WITH moved AS (DELETE FROM {others} WHERE {key} >= ? AND {key} < ? RETURNING *)"  # noqa: S608  (names are our own)
        f" INSERT INTO {part} SELECT * FROM moved",
        (first, end),
    )
    # Bounds are text of our own making, and DDL takes no parameters.
    tx.execute(f"ALTER TABLE {table} ATTACH PARTITION {part} FOR VALUES FROM ('{first}') TO ('{end}')")
    return True


def make_ahead(database: Database, now: datetime) -> list[str]:
    """See that the months are there in which executions will be recorded soon; the parts that had to be made.

    Raises:
        Unavailable: the database does not answer, or a default part was in use for too long.
    """
    made = []
    for table in (EXECUTIONS, SUBTASKS):
        with database.snapshot() as tx:
            months = missing(tx, table, ahead(now))
        for month in months:
            with database.transaction() as tx:
                made += [month.part_of(table)] * make(tx, table, month)
    return made


def over(tx: Transaction, table: str, horizon: datetime) -> list[Month]:
    """The months, oldest first, that have a part of the table and lie before ``horizon`` to their last instant."""
    named = [_month_in(part, table) for part in _parts(tx, table)]
    return sorted(month for month in named if month is not None and month.later(1).begins_at <= horizon)


def drop_executions(tx: Transaction, month: Month) -> int | None:
    """Drop the executions of a month and begin their tasks' history after them; how many they were.

    None where it stays: something in it has not ended, or is not among the oldest of its task, so that a gap would be
    left in the ordinals. Whoever has read a task's bounds just before finds that much less than they say.
    """
    part = month.part_of(EXECUTIONS)
    if not _turn_to_drop(tx, part):
        return None
    tx.execute("DROP TABLE IF EXISTS dropped")
    tx.execute(
        f"""
        CREATE TEMPORARY TABLE dropped ON COMMIT DROP AS
        SELECT task_id, min(ordinal) AS first_ordinal, max(ordinal) AS last_ordinal, count(*) AS executions,
            count(*) FILTER (WHERE ended_at IS NULL) AS unfinished
        FROM {part} GROUP BY task_id
        """  # noqa: S608  (names are our own)
    )
    stays = tx.execute(
        """
        SELECT 1 FROM dropped d LEFT JOIN tasks t ON t.task_id = d.task_id
        WHERE d.unfinished > 0 OR d.executions <> d.last_ordinal - coalesce(t.first_ordinal, d.first_ordinal) + 1
        LIMIT 1
        """
    ).fetchone()
    if stays is not None:
        return None
    # In one order, and before the part is locked: who holds a task may be about to write into it.
    tx.execute("SELECT 1 FROM tasks WHERE task_id IN (SELECT task_id FROM dropped) ORDER BY task_id FOR UPDATE")
    tx.execute(f"LOCK TABLE {part} IN SHARE MODE")
    (count,) = tx.execute(f"SELECT count(*) FROM {part}").fetchone()  # noqa: S608  (the same)
    if tx.execute("SELECT coalesce(sum(executions), 0) FROM dropped").fetchone()[0] != count:
        # A fire of that month was recorded just now: the next round counts again.
        return None
    tx.execute("UPDATE tasks SET first_ordinal = d.last_ordinal + 1 FROM dropped d WHERE tasks.task_id = d.task_id")
    tx.execute(f"DROP TABLE {part}")
    return int(count)


def drop_subtasks(tx: Transaction, month: Month) -> bool:
    """Drop the subtasks of the executions that were recorded in a month; False while one of those is still kept."""
    part = month.part_of(SUBTASKS)
    if not _turn_to_drop(tx, part):
        return False
    kept = tx.execute(
        "SELECT 1 FROM executions WHERE execution_id >= ? AND execution_id < ? LIMIT 1", month.bounds(SUBTASKS)
    ).fetchone()
    if kept is not None:
        return False
    tx.execute(f"DROP TABLE {part}")
    return True


def _turn_to_drop(tx: Transaction, part: str) -> bool:
    """Whether a part is there to be dropped, and nobody else drops it."""
    tx.take_turn(_TURN)
    for setting in (*_PATIENCE, _LOCK_WAIT):
        tx.execute(setting)
    return tx.execute("SELECT to_regclass(?) IS NOT NULL", (part,)).fetchone()[0] is True


def _parts(tx: Transaction, table: str) -> list[str]:
    return [name for (name,) in tx.execute(_MADE, (table,))]


def _month_in(part: str, table: str) -> Month | None:
    """The month that a part is named after; None for the default part."""
    try:
        year, number = part.removeprefix(f"{table}_").split("_")
        return Month(year=int(year), number=int(number))
    except ValueError:
        return None


def _id_at(instant: datetime) -> str:
    """Where the ids begin that are made from an instant on: 48 bits of a UUIDv7 are its milliseconds."""
    milliseconds = f"{int(instant.timestamp() * 1000):012x}"
    return f"{milliseconds[:8]}-{milliseconds[8:]}"
