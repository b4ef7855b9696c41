"""Executions in the database: pages of history by ordinal, and the counters while they run."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from fleetcron.domain.execution import Execution
from fleetcron.store.database import Transaction
from fleetcron.store.rows import Rows, text_of

ROWS = Rows(Execution, "executions")

_SELECT = f"SELECT {ROWS.columns} FROM executions"  # noqa: S608  (names are our own fields)

Record = bytes
"""A finished execution as it is said on the wire, rendered once when it ended."""


def insert(tx: Transaction, executions: Iterable[Execution]) -> None:
    """Write down new executions.

    Leans on one_execution_per_fire: ``sqlite3.IntegrityError`` says that one of the fires is recorded already.
    """
    tx.executemany(ROWS.insert, [ROWS.values(execution) for execution in executions])


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


def begin(tx: Transaction, begun: Iterable[tuple[str, datetime]]) -> None:
    """Count one more running subtask of each (execution_id, began_at); the first one begins the execution."""
    tx.executemany(
        """
        UPDATE executions SET
            running = running + 1,
            status = CASE status WHEN 'WAITING' THEN 'RUNNING' ELSE status END,
            began_at = coalesce(began_at, ?)
        WHERE execution_id = ?
        """,
        [(text_of(began_at), execution_id) for execution_id, began_at in begun],
    )


def count_ended(tx: Transaction, ended: Iterable[tuple[str, bool, bool]]) -> None:
    """Move the counters for each (execution_id, succeeded, was running) whose subtask has just ended."""
    tx.executemany(
        """
        UPDATE executions SET succeeded = succeeded + ?, failed = failed + ?, running = running - ?
        WHERE execution_id = ?
        """,
        [(int(succeeded), int(not succeeded), int(ran), key) for key, succeeded, ran in ended],
    )


def seal(tx: Transaction, sealed: Iterable[tuple[Execution, Record]]) -> None:
    """End executions for good: final status, counters and the record that history pages will hand out."""
    tx.executemany(
        """
        UPDATE executions SET status = ?, succeeded = ?, failed = ?, running = 0, ended_at = ?, record = ?
        WHERE task_id = ? AND ordinal = ?
        """,
        [
            (
                execution.status,
                execution.succeeded,
                execution.failed,
                None if execution.ended_at is None else text_of(execution.ended_at),
                record,
                execution.task_id,
                execution.ordinal,
            )
            for execution, record in sealed
        ],
    )


def _at(tx: Transaction, task_id: str, ordinal: int) -> Execution:
    return ROWS.read(tx.execute(f"{_SELECT} WHERE task_id = ? AND ordinal = ?", (task_id, ordinal)).fetchone())
