"""Executions in the database: pages of history by ordinal, and the counters while they run.

What is looked up by its id alone says that it is unfinished where it must be: on PostgreSQL every month is a table of
its own, and the index of what is unfinished is next to empty in all but the last.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from fleetcron.domain.execution import Execution
from fleetcron.store.database import Transaction
from fleetcron.store.rows import Rows, json_of, text_of

ROWS = Rows(Execution, "executions")

_SELECT = f"SELECT {ROWS.columns} FROM executions"  # noqa: S608  (names are our own fields)

_TO_CHANGE = f"""
    {_SELECT} WHERE execution_id IN (SELECT value ->> 0 FROM json_each(?)) AND ended_at IS NULL
    ORDER BY execution_id FOR UPDATE
"""  # noqa: S608  (the same)
# By the fire too: it tells the month.
_KEY = ("task_id", "ordinal", "fire_at")
_COUNTERS = ("status", "succeeded", "failed", "running", "began_at")
_COUNTED = ROWS.some(*_COUNTERS, *_KEY)
_COUNT = ROWS.update_many(_COUNTERS, _KEY)
_ENDED = ROWS.some(*_COUNTERS, "ended_at", *_KEY)
_SEAL = ROWS.update_many(("record", *_COUNTERS, "ended_at"), _KEY, record=bytes)

Record = bytes
"""A finished execution as it is said on the wire, rendered once when it ended."""


def insert(tx: Transaction, executions: Iterable[Execution]) -> None:
    """Write down new executions.

    Leans on one_execution_per_fire: ``Constrained`` says that one of the fires is recorded already.
    """
    tx.write(ROWS.insert_many, [ROWS.values(execution) for execution in executions])


def is_recorded(tx: Transaction, task_id: str, fire_at: datetime) -> bool:
    """Whether this fire of the task has its execution already."""
    found = tx.execute("SELECT 1 FROM executions WHERE task_id = ? AND fire_at = ?", (task_id, text_of(fire_at)))
    return found.fetchone() is not None


def find(tx: Transaction, project_id: str, execution_id: str) -> Execution | None:
    """The execution, if it is in this project."""
    row = tx.execute(f"{_SELECT} WHERE execution_id = ? AND project_id = ?", (execution_id, project_id)).fetchone()
    return None if row is None else ROWS.read(row)


def read(tx: Transaction, execution_ids: Iterable[str]) -> list[Execution]:
    """The executions with these ids, in their order."""
    rows = (tx.execute(f"{_SELECT} WHERE execution_id = ?", (key,)).fetchone() for key in execution_ids)
    return [ROWS.read(row) for row in rows if row is not None]


def bounds(tx: Transaction, project_id: str, task_id: str) -> tuple[int, int] | None:
    """The first and last ordinal of a task's history (last < first when empty); None if there is no such task."""
    found: tuple[int, int] | None = tx.execute(
        "SELECT first_ordinal, last_ordinal FROM tasks WHERE task_id = ? AND project_id = ? AND deleted_at IS NULL",
        (task_id, project_id),
    ).fetchone()
    return found


def stretch(tx: Transaction, task_id: str, newest: int, oldest: int) -> list[Record | Execution]:
    """Executions from ordinal ``newest`` down to ``oldest``: one stretch of the tree, whatever its depth.

    A finished one comes as its record. Call it in the snapshot that read the bounds, or pages tear.
    """
    rows = tx.execute(
        "SELECT ordinal, record FROM executions WHERE task_id = ? AND ordinal BETWEEN ? AND ? ORDER BY ordinal DESC",
        (task_id, oldest, newest),
    ).fetchall()
    return [_at(tx, task_id, ordinal) if record is None else record for ordinal, record in rows]


def to_change(tx: Transaction, execution_ids: Iterable[str]) -> list[Execution]:
    """Those of these executions that have not ended, ours alone until the transaction ends.

    They are locked in the order of their ids, and after any subtasks: so nobody waits in a ring.
    """
    rows = tx.execute(_TO_CHANGE, (json_of([[key] for key in execution_ids]),)).fetchall()
    return [ROWS.read(row) for row in rows]


def count(tx: Transaction, changed: Iterable[Execution]) -> None:
    """Write the counters of executions that ``to_change`` gave, and whether and when they began."""
    tx.write(_COUNT, [_COUNTED(execution) for execution in changed])


def seal(tx: Transaction, sealed: Iterable[tuple[Execution, Record]]) -> None:
    """End executions for good: final status, counters and the record that history pages will hand out."""
    tx.write(_SEAL, [(record, *_ENDED(execution)) for execution, record in sealed])


def cancel(tx: Transaction, project_id: str, execution_id: str, now: datetime) -> bool:
    """Let none of its subtasks begin any more; False if it has ended, is cancelled, or is not in this project."""
    return (
        tx.execute(
            """
            UPDATE executions SET cancelled_at = ?
            WHERE execution_id = ? AND project_id = ? AND ended_at IS NULL AND cancelled_at IS NULL
            """,
            (text_of(now), execution_id, project_id),
        ).rowcount
        == 1
    )


def _at(tx: Transaction, task_id: str, ordinal: int) -> Execution:
    return ROWS.read(tx.execute(f"{_SELECT} WHERE task_id = ? AND ordinal = ?", (task_id, ordinal)).fetchone())
