"""Forgetting history whose time is over, a few executions at a time: the oldest of each task, and with them subtasks.

A task's history begins at its first ordinal, so that pages and counts stay right: what goes is taken from the end of it
in the same transaction. Where history lies in months these go whole (``partitions``), and what is left for here is the
default part.
"""

from __future__ import annotations

from datetime import datetime

from fleetcron.store.database import Transaction
from fleetcron.store.rows import text_of

EXECUTIONS_MAX = 500
SUBTASKS_MAX = 5_000
"""What one transaction forgets of one task; an execution with more subtasks goes alone."""

# That of the partitions: a month is not dropped while the history that it belongs to is shortened.
_TURN = "partitions"


def next_over(tx: Transaction, table: str, horizon: datetime, after_task_id: str) -> str | None:
    """The next task after ``after_task_id``, by id, whose oldest execution is over, lies before ``horizon`` and here.

    ``table`` is ``executions`` or its default part.
    """
    row = tx.execute(
        f"""
        SELECT t.task_id FROM tasks t JOIN {table} e ON e.task_id = t.task_id AND e.ordinal = t.first_ordinal
        WHERE t.task_id > ? AND e.fire_at < ? AND e.ended_at IS NOT NULL ORDER BY t.task_id LIMIT 1
        """,  # noqa: S608  (names are our own)
        (after_task_id, text_of(horizon)),
    ).fetchone()
    return None if row is None else str(row[0])


def shorten(tx: Transaction, table: str, horizon: datetime, task_id: str) -> int:
    """Forget the oldest executions of a task that are over and lie before ``horizon``; how many they were.

    They are EXECUTIONS_MAX at most. It ends at the first one that has not ended, so nothing unfinished is forgotten
    and no gap is left.
    """
    tx.take_turn(_TURN)
    row = tx.execute("SELECT first_ordinal FROM tasks WHERE task_id = ? FOR UPDATE", (task_id,)).fetchone()
    if row is None:
        return 0
    first = int(row[0])
    gone = _over(tx, table, horizon, task_id, first)
    tx.executemany("DELETE FROM subtasks WHERE execution_id = ?", [(execution_id,) for execution_id in gone])
    end = first + len(gone)
    tx.execute(f"DELETE FROM {table} WHERE task_id = ? AND ordinal >= ? AND ordinal < ?", (task_id, first, end))  # noqa: S608  (the same)
    tx.execute("UPDATE tasks SET first_ordinal = ? WHERE task_id = ?", (end, task_id))
    return len(gone)


def forget_tasks(tx: Transaction, horizon: datetime, batch_max: int) -> int:
    """Forget tasks that were deleted before ``horizon`` and of whose history nothing is left; how many they were.

    A server that was operated on at once leaves such a task.
    """
    return tx.execute(
        """
        DELETE FROM tasks WHERE task_id IN (
            SELECT task_id FROM tasks WHERE deleted_at < ? AND first_ordinal > last_ordinal
            ORDER BY task_id LIMIT ? FOR UPDATE SKIP LOCKED
        )
        """,
        (text_of(horizon), batch_max),
    ).rowcount


def oldest_fire(tx: Transaction) -> datetime | None:
    """The earliest fire of what is kept, as far as each task's oldest execution tells; None if there is no history."""
    (at,) = tx.execute(
        "SELECT min(e.fire_at) FROM tasks t JOIN executions e ON e.task_id = t.task_id AND e.ordinal = t.first_ordinal"
    ).fetchone()
    return None if at is None else datetime.fromisoformat(at)


def _over(tx: Transaction, table: str, horizon: datetime, task_id: str, first: int) -> list[str]:
    """The ids of the oldest executions that may go together, in the order of their ordinals."""
    rows = tx.execute(
        f"""
        SELECT ordinal, execution_id, total FROM {table}
        WHERE task_id = ? AND ordinal >= ? AND ordinal < ? AND fire_at < ? AND ended_at IS NOT NULL ORDER BY ordinal
        """,  # noqa: S608  (the same)
        (task_id, first, first + EXECUTIONS_MAX, text_of(horizon)),
    )
    gone: list[str] = []
    subtasks = 0
    for ordinal, execution_id, total in rows.fetchall():
        subtasks += total
        if ordinal != first + len(gone) or (gone and subtasks > SUBTASKS_MAX):
            break
        gone.append(execution_id)
    return gone
