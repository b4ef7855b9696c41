"""Subtasks in the database: pages by ordinal, and the steps from waiting to their end.

A subtask is live, and its server taken, while it has a row in live_actions. Whoever moves subtasks takes them with
``to_change`` first, which locks them in the order of their references: then nobody else moves them, and what the law
says of them as they were read still holds when they are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from fleetcron.domain.execution import Reference, Subtask
from fleetcron.domain.task import TaskType
from fleetcron.store.database import Transaction
from fleetcron.store.rows import Rows, json_of, text_of

ROWS = Rows(Subtask, "subtasks")


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A subtask that has not ended, together with what its execution says about it.

    ``contended`` tells that another subtask is live on the same server.
    """

    execution_id: str
    ordinal: int
    server_id: str
    endpoint: str | None
    handle: str | None
    began_at: datetime | None
    settle_until: datetime | None
    boot_marker: str | None
    ticket: str | None
    sends: int
    contended: bool
    task_type: TaskType
    enforcement: bool
    start_until: datetime
    cancelled_at: datetime | None

    @property
    def reference(self) -> Reference:
        """The subtask's name."""
        return self.execution_id, self.ordinal


_OWN = ", ".join(f"s.{name}" for name in Due.__struct_fields__[:10])
_NAMED = "s.execution_id = (r.value ->> 0) AND s.ordinal = CAST(r.value ->> 1 AS BIGINT)"
_DUE = f"""
    SELECT {_OWN}, 0, s.ended_at FROM json_each(?) r CROSS JOIN subtasks s
    WHERE {_NAMED} ORDER BY s.execution_id, s.ordinal
"""  # noqa: S608  (names are our own fields)
_TAKEN = "EXISTS (SELECT 1 FROM live_actions l WHERE l.endpoint = s.endpoint AND l.handle = s.handle)"
# What somebody else is just moving is passed over: a dispatcher that waited for it could be waited for.
_WAITING = f"""
    SELECT {_OWN}, CASE WHEN {_TAKEN} THEN 1 ELSE 0 END FROM subtasks s
    WHERE s.dispatched_at IS NULL AND s.ended_at IS NULL AND (
        CAST(:any_room AS INTEGER) = 1
            AND s.endpoint NOT IN (SELECT value ->> 0 FROM json_each(:endpoints))
            AND s.execution_id NOT IN (SELECT value ->> 0 FROM json_each(:executions))
        OR (SELECT e.start_until FROM executions e WHERE e.execution_id = s.execution_id AND e.ended_at IS NULL) < :now
        OR {_TAKEN}
    )
    ORDER BY s.execution_id, s.ordinal LIMIT :count_max FOR UPDATE OF s SKIP LOCKED
"""  # noqa: S608  (the same)
_TERMS = """
    SELECT execution_id, task_type, enforcement, start_until, cancelled_at FROM executions
    WHERE execution_id IN (SELECT value ->> 0 FROM json_each(?)) AND ended_at IS NULL
"""
_TO_CHANGE = f"""
    SELECT {", ".join(f"s.{name}" for name in ROWS.names)} FROM json_each(?) r CROSS JOIN subtasks s
    WHERE {_NAMED} ORDER BY s.execution_id, s.ordinal FOR UPDATE
"""  # noqa: S608  (the same)
# What a step may change; the rest of a subtask stands from the moment of its fire.
_STEPS = (
    "status",
    "began_at",
    "settle_until",
    "boot_marker",
    "ticket",
    "sends",
    "attempt",
    "ended_at",
    "evidence",
    "result_code",
    "result_message",
)
_KEY = ("execution_id", "ordinal")
_STEP_VALUES = ROWS.some(*_STEPS, *_KEY)
_WRITE = ROWS.update_many(_STEPS, _KEY)


def insert(tx: Transaction, subtasks: Iterable[Subtask]) -> None:
    """Write down new subtasks."""
    tx.write(ROWS.insert_many, [ROWS.values(subtask) for subtask in subtasks])


def page(tx: Transaction, execution_id: str, *, offset: int, limit: int) -> list[Subtask]:
    """One stretch of an execution's subtasks in their order."""
    rows = tx.execute(
        f"SELECT {ROWS.columns} FROM subtasks WHERE execution_id = ? AND ordinal > ? ORDER BY ordinal LIMIT ?",  # noqa: S608
        (execution_id, offset, limit),
    )
    return [ROWS.read(row) for row in rows]


def any_waiting(tx: Transaction) -> bool:
    """Whether there is a subtask that nobody was told to carry out yet (leans on subtasks_waiting)."""
    found = tx.execute("SELECT 1 FROM subtasks WHERE dispatched_at IS NULL AND ended_at IS NULL LIMIT 1")
    return found.fetchone() is not None


def waiting(
    tx: Transaction,
    count_max: int,
    now: datetime,
    *,
    any_room: bool = True,
    full_endpoints: Iterable[str] = (),
    full_executions: Iterable[str] = (),
) -> list[Due]:
    """Subtasks that nobody was told to carry out yet, oldest execution first, to be dispatched or ended by us.

    Where there is no room, at full endpoints and of full executions, only those that must not start: they are too late
    at ``now``, or their server is taken. Leans on subtasks_waiting.
    """
    asked = {
        "now": text_of(now),
        "any_room": int(any_room),
        "endpoints": json_of([[name] for name in full_endpoints]),
        "executions": json_of([[key] for key in full_executions]),
        "count_max": count_max,
    }
    return _with_terms(tx, tx.execute(_WAITING, asked).fetchall())


def dispatch(tx: Transaction, due: Iterable[Due], now: datetime) -> list[Reference]:
    """Make subtasks that ``waiting`` gave in this transaction live; those whose server was free, and is taken now.

    Leans on the keys of live_actions: whatever is said here, no server is taken twice and no subtask live twice.
    """
    at = text_of(now)
    rows = json_of([[one.endpoint, one.handle, *one.reference] for one in due])
    live: list[Reference] = tx.execute(
        """
        INSERT INTO live_actions (endpoint, handle, execution_id, ordinal, dispatched_at)
        SELECT r.value ->> 0, r.value ->> 1, r.value ->> 2, CAST(r.value ->> 3 AS BIGINT), CAST(? AS TEXT)
        FROM json_each(?) r WHERE TRUE ON CONFLICT DO NOTHING RETURNING execution_id, ordinal
        """,
        (at, rows),
    ).fetchall()
    tx.execute(
        """
        UPDATE subtasks SET dispatched_at = ? FROM json_each(?) r
        WHERE subtasks.execution_id = (r.value ->> 0) AND subtasks.ordinal = CAST(r.value ->> 1 AS BIGINT)
        """,
        (at, json_of(live)),
    )
    return live


def live_on(tx: Transaction, endpoint: str, handle: str) -> TaskType | None:
    """What is being done to a server now, if anything."""
    row = tx.execute(
        """
        SELECT (SELECT e.task_type FROM executions e WHERE e.execution_id = l.execution_id AND e.ended_at IS NULL)
        FROM live_actions l WHERE l.endpoint = ? AND l.handle = ?
        """,
        (endpoint, handle),
    ).fetchone()
    return None if row is None else TaskType(row[0])


def to_change(tx: Transaction, references: Iterable[Reference]) -> dict[Reference, Subtask]:
    """Those of these subtasks that exist, ours alone until the transaction ends."""
    found = [ROWS.read(row) for row in tx.execute(_TO_CHANGE, (json_of(sorted(set(references))),)).fetchall()]
    return {(subtask.execution_id, subtask.ordinal): subtask for subtask in found}


def write(tx: Transaction, changed: Sequence[Subtask]) -> None:
    """Write subtasks that ``to_change`` gave as they are now; the servers of those that have ended are free again."""
    tx.write(_WRITE, [_STEP_VALUES(subtask) for subtask in changed])
    # One by one: a join with a table that is full now and empty later would be planned for the wrong one of the two.
    tx.executemany(
        "DELETE FROM live_actions WHERE execution_id = ? AND ordinal = ?",
        [(one.execution_id, one.ordinal) for one in changed if one.ended_at and one.dispatched_at],
    )


def read_due(tx: Transaction, references: Iterable[Reference]) -> list[Due]:
    """Those of these subtasks that have not ended, with what their executions say, in the order of their references."""
    rows = tx.execute(_DUE, (json_of(list(references)),)).fetchall()
    return _with_terms(tx, [own for *own, ended_at in rows if ended_at is None])


def tally(tx: Transaction, execution_ids: Iterable[str]) -> dict[str, tuple[int, int, datetime]]:
    """Count the ended subtasks of executions: (succeeded, failed, the latest end)."""
    rows = tx.execute(
        """
        SELECT s.execution_id, count(*) FILTER (WHERE s.status = 'SUCCESS'),
            count(*) FILTER (WHERE s.status = 'FAILED'), max(s.ended_at)
        FROM subtasks s WHERE s.execution_id IN (SELECT value ->> 0 FROM json_each(?)) GROUP BY s.execution_id
        """,
        (json_of([[key] for key in execution_ids]),),
    ).fetchall()
    return {key: (succeeded, failed, datetime.fromisoformat(last)) for key, succeeded, failed, last in rows}


def cancelled(tx: Transaction, count_max: int) -> list[Reference]:
    """Subtasks that have not begun although their execution is cancelled (leans on executions_to_cancel).

    Executions whose counters say that there is none any more are not looked into.
    """
    found: list[Reference] = tx.execute(
        """
        SELECT s.execution_id, s.ordinal FROM executions e CROSS JOIN subtasks s
        WHERE e.cancelled_at IS NOT NULL AND e.ended_at IS NULL AND e.succeeded + e.failed + e.running < e.total
            AND s.execution_id = e.execution_id AND s.began_at IS NULL AND s.ended_at IS NULL LIMIT ?
        """,
        (count_max,),
    ).fetchall()
    return found


def _with_terms(tx: Transaction, rows: Sequence[Sequence[object]]) -> list[Due]:
    """Put to each row what its execution says.

    Asked for apart: a join would be planned for the few unfinished executions of a quiet hour, and meet a burst.
    """
    keys = json_of([[key] for key in {str(row[0]) for row in rows}])
    terms = {key: said for key, *said in tx.execute(_TERMS, (keys,)).fetchall()}
    return [
        msgspec.convert(dict(zip(Due.__struct_fields__, (*row, *terms[row[0]]), strict=True)), Due, strict=False)
        for row in rows
        if row[0] in terms
    ]
