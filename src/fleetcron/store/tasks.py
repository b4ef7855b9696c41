"""Tasks in the database."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from fleetcron.domain.execution import Status
from fleetcron.domain.task import Task
from fleetcron.store.database import Transaction
from fleetcron.store.rows import Rows, containing, text_of

ROWS = Rows(Task, "tasks")

# Listed: of this project and not deleted; the name filter matches anywhere and in either case, the type exactly.
_LISTED = """
    project_id = :project_id AND deleted_at IS NULL
    AND (CAST(:task_type AS TEXT) IS NULL OR task_type = :task_type)
    AND (CAST(:name AS TEXT) IS NULL OR lower(name) LIKE :name ESCAPE '\\')
"""
_SELECT = f"SELECT {ROWS.columns} FROM tasks"  # noqa: S608  (names are our own fields)
_COUNT = f"SELECT count(*) FROM tasks WHERE {_LISTED}"  # noqa: S608  (a constant)
_PAGE = f"{_SELECT} WHERE {_LISTED} ORDER BY created_at DESC, task_id DESC LIMIT :limit OFFSET :offset"
_ADVANCE = ROWS.update_many(("last_ordinal", "next_fire_at"), ("task_id",))
_UPDATE = "UPDATE tasks SET " + ", ".join(f"{name} = ?" for name in ROWS.names) + " WHERE task_id = ?"  # noqa: S608  (the same)


def insert(tx: Transaction, task: Task) -> None:
    """Write down a new task."""
    tx.execute(ROWS.insert, ROWS.values(task))


def find(tx: Transaction, project_id: str, task_id: str) -> Task | None:
    """The task, if it is in this project and not deleted."""
    row = tx.execute(
        f"{_SELECT} WHERE task_id = ? AND project_id = ? AND deleted_at IS NULL", (task_id, project_id)
    ).fetchone()
    return None if row is None else ROWS.read(row)


def lock(tx: Transaction, project_id: str, task_id: str) -> Task | None:
    """The task, as ``find`` finds it, to be changed: until the transaction ends nobody else fires or changes it."""
    row = tx.execute(
        f"{_SELECT} WHERE task_id = ? AND project_id = ? AND deleted_at IS NULL FOR UPDATE", (task_id, project_id)
    ).fetchone()
    return None if row is None else ROWS.read(row)


def page(
    tx: Transaction, project_id: str, *, name: str | None, task_type: str | None, offset: int, limit: int
) -> tuple[int, list[Task]]:
    """How many tasks match, and one stretch of them, newest first."""
    asked = {
        "project_id": project_id,
        "task_type": task_type,
        "name": None if name is None else containing(name),
        "offset": offset,
        "limit": limit,
    }
    (count,) = tx.execute(_COUNT, asked).fetchone()
    return count, [ROWS.read(row) for row in tx.execute(_PAGE, asked)]


def latest_statuses(tx: Transaction, tasks: list[Task]) -> dict[str, Status]:
    """The status of the newest execution of each task that has one."""
    found = {}
    for task in tasks:
        row = tx.execute(
            "SELECT status FROM executions WHERE task_id = ? AND ordinal = ?", (task.task_id, task.last_ordinal)
        ).fetchone()
        if row is not None:
            found[task.task_id] = Status(row[0])
    return found


def replace(tx: Transaction, task: Task) -> None:
    """Write the task as it is now over what it was.

    It must come from ``lock`` in the same transaction: between a plain look and this a scheduler may have fired it, and
    its ordinal would be given twice.
    """
    tx.execute(_UPDATE, (*ROWS.values(task), task.task_id))


def delete(tx: Transaction, project_id: str, task_ids: list[str], now: datetime) -> None:
    """Take tasks out of sight and off the clock; ids that are not there are passed over."""
    tx.executemany(
        """
        UPDATE tasks SET deleted_at = ?, updated_at = ?, next_fire_at = NULL
        WHERE task_id = ? AND project_id = ? AND deleted_at IS NULL
        """,
        # In one order for everybody: two who delete the same tasks must not wait for each other.
        [(text_of(now), text_of(now), task_id, project_id) for task_id in sorted(task_ids)],
    )


def due(tx: Transaction, now: datetime, count_max: int) -> list[Task]:
    """Tasks whose next fire has come, the longest waiting first, to be fired by us (leans on the index tasks_due).

    Until the transaction ends nobody else fires or changes them. What others are at is passed over.
    """
    rows = tx.execute(
        f"{_SELECT} WHERE next_fire_at <= ? ORDER BY next_fire_at LIMIT ? FOR UPDATE SKIP LOCKED",
        (text_of(now), count_max),
    ).fetchall()
    return [ROWS.read(row) for row in rows]


def due_alone(tx: Transaction, task_id: str, now: datetime) -> Task | None:
    """The task, to be fired by us, if it is still due and nobody else is at it."""
    row = tx.execute(
        f"{_SELECT} WHERE task_id = ? AND next_fire_at <= ? FOR UPDATE SKIP LOCKED", (task_id, text_of(now))
    ).fetchone()
    return None if row is None else ROWS.read(row)


def due_ids(tx: Transaction, now: datetime, count_max: int) -> list[str]:
    """The ids of tasks whose next fire has come, the longest waiting first."""
    rows = tx.execute(
        "SELECT task_id FROM tasks WHERE next_fire_at <= ? ORDER BY next_fire_at LIMIT ?", (text_of(now), count_max)
    )
    return [task_id for (task_id,) in rows]


def read(tx: Transaction, task_ids: Iterable[str]) -> list[Task]:
    """The tasks with these ids, in their order, deleted ones included."""
    rows = (tx.execute(f"{_SELECT} WHERE task_id = ?", (task_id,)).fetchone() for task_id in task_ids)
    return [ROWS.read(row) for row in rows if row is not None]


def advance(tx: Transaction, steps: Iterable[tuple[Task, int, datetime | None]]) -> None:
    """Set the last ordinal and the next fire of each task."""
    tx.write(
        _ADVANCE,
        [(ordinal, None if fire_at is None else text_of(fire_at), task.task_id) for task, ordinal, fire_at in steps],
    )
