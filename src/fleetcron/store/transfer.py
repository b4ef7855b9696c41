"""Moving house: everything that a service in one process has kept, from its SQLite file into an empty PostgreSQL."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import psycopg

from fleetcron.errors import BadSettings
from fleetcron.store import partitions
from fleetcron.store.partitions import Month, month_of
from fleetcron.store.postgresql import PostgresqlTransaction, connected_to_fill
from fleetcron.store.sqlite import opened_to_copy

TABLES: Final = (
    *("accounts", "projects", "users", "access_keys", "tokens", "user_groups", "memberships", "policies"),
    *("attachments", "server_groups", "servers", "endpoints", "tasks", "executions", "subtasks", "live_actions"),
    *("audit", "audit_retention"),
)
"""What is moved, each after what it refers to: every table of both databases but the list of steps."""

BATCH_ROWS = 1_000

# The audit log numbers its own records and lets none go; what is moved comes with its numbers.
_SELF_KEEPING: Final = ("audit", "audit_retention")

# UUIDv7, of which the first 48 bits are milliseconds and the first 32 a bit more than a minute.
_IDS_BEGIN: Final = "SELECT DISTINCT substr(execution_id, 1, 8) FROM executions WHERE substr(execution_id, 15, 1) = '7'"
_ID_BEGIN: Final = re.compile(r"[0-9a-f]{8}")

Progress = Callable[[str, int, int], None]
"""Called with a table, how many of its rows have been moved, and how many there are."""


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """What was moved: rows by table; and how many texts lost a NUL, which PostgreSQL cannot keep."""

    rows: dict[str, int]
    texts_mended: int


def move(folder: Path, url: str, progress: Progress) -> Moved:
    """Move everything from the database in ``folder`` to the one behind ``url``, all or nothing.

    The rows are counted again where they have arrived before they are kept. The source stays as it is.

    Raises:
        BadSettings: the source is missing, in use or of another version; the destination is not empty or of another
            version; or a count differs.
        Unavailable: the destination does not answer; it is as empty as before.
    """
    with opened_to_copy(folder) as source, connected_to_fill(url) as destination:
        _require_empty(destination)
        _make_months(source, PostgresqlTransaction(destination))
        mended = [_copy(source, destination, table, progress) for table in TABLES]
        rows = {table: _same_count(source, destination, table) for table in TABLES}
    return Moved(rows=rows, texts_mended=sum(mended))


def _require_empty(destination: psycopg.Connection[Any]) -> None:
    """See that nothing is there, and that nobody writes until this ends."""
    destination.execute(f"LOCK TABLE {', '.join(TABLES)} IN EXCLUSIVE MODE")
    for table in TABLES:
        beginning = " WHERE kept_from <> 1" if table == "audit_retention" else ""
        if destination.execute(f"SELECT 1 FROM {table}{beginning} LIMIT 1").fetchone() is not None:  # noqa: S608  (names are our own)
            hint = "make a new database and migrate it, and import before any other fleetcron process starts on it"
            raise BadSettings("database", f"is not empty: there are rows in {table}; {hint}")


def _make_months(source: sqlite3.Connection, tx: PostgresqlTransaction) -> None:
    """Have a month for every execution before it arrives, rather than move it once more."""
    fires = source.execute("SELECT DISTINCT substr(fire_at, 1, 7) FROM executions")
    wanted = {
        partitions.EXECUTIONS: {month_of(datetime.fromisoformat(f"{month}-01T00:00:00Z")) for (month,) in fires},
        partitions.SUBTASKS: {month for (text,) in source.execute(_IDS_BEGIN) for month in _months_of(text)},
    }
    for table, months in wanted.items():
        for month in partitions.missing(tx, table, months):
            partitions.make(tx, table, month)


def _months_of(begin: str) -> set[Month]:
    """The months in which an execution may have been recorded whose id begins so."""
    if not _ID_BEGIN.fullmatch(begin):
        return set()
    first = datetime.fromtimestamp((int(begin, 16) << 16) / 1000, UTC)
    return {month_of(first), month_of(first + timedelta(milliseconds=(1 << 16) - 1))}


def _copy(source: sqlite3.Connection, destination: psycopg.Connection[Any], table: str, progress: Progress) -> int:
    """Move the rows of a table; how many texts had to be mended."""
    columns = [row[1] for row in source.execute(f"PRAGMA table_info({table})")]
    total = _count(source, table)
    moved = mended = 0
    progress(table, moved, total)
    if table in _SELF_KEEPING:
        destination.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        destination.execute(f"DELETE FROM {table}")  # noqa: S608  (names are our own)
    names = ", ".join(columns)
    with destination.cursor() as cursor, cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
        for batch in _batches(source.execute(f"SELECT {names} FROM {table}")):  # noqa: S608  (the same)
            for row in batch:
                texts = sum(isinstance(value, str) and "\0" in value for value in row)
                copy.write_row(_mended(row) if texts else row)
                mended += texts
            moved += len(batch)
            progress(table, moved, total)
    if table in _SELF_KEEPING:
        destination.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
    return mended


def _batches(rows: sqlite3.Cursor) -> Iterator[list[tuple[Any, ...]]]:
    while batch := rows.fetchmany(BATCH_ROWS):
        yield batch


def _mended(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value for value in row)


def _same_count(source: sqlite3.Connection, destination: psycopg.Connection[Any], table: str) -> int:
    left = _count(source, table)
    (arrived,) = destination.execute(f"SELECT count(*) FROM {table}").fetchone() or (0,)  # noqa: S608  (the same)
    if arrived != left:
        raise BadSettings("database", f"nothing was moved: of {left} rows in {table}, {arrived} have arrived")
    return left


def _count(source: sqlite3.Connection, table: str) -> int:
    (count,) = source.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608  (the same)
    return int(count)
