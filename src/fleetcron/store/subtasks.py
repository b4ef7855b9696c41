"""Subtasks in the database: pages by ordinal, and the steps from waiting to their end.

Every step that moves a subtask says in its WHERE clause what must still hold, so the first one wins and a
late or repeated one changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from fleetcron.domain.execution import Evidence, ResultCode, Status, Subtask
from fleetcron.domain.task import TaskType
from fleetcron.store.database import Transaction
from fleetcron.store.rows import Rows, text_of

ROWS = Rows(Subtask, "subtasks")


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A subtask together with what its execution says about it.

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
    task_type: TaskType
    enforcement: bool
    start_until: datetime
    contended: bool = False


_OWN = ", ".join(f"s.{name}" for name in Due.__struct_fields__[:10])
_DUE = f"""
    SELECT {_OWN}, e.task_type, e.enforcement, e.start_until
    FROM subtasks s JOIN executions e ON e.execution_id = s.execution_id
    WHERE s.execution_id = ? AND s.ordinal = ?
"""  # noqa: S608  (names are our own fields)
_WAITING = f"""
    SELECT {_OWN}, e.task_type, e.enforcement, e.start_until, EXISTS (
        SELECT 1 FROM subtasks l WHERE l.endpoint = s.endpoint AND l.handle = s.handle
        AND l.dispatched_at IS NOT NULL AND l.ended_at IS NULL
    )
    FROM subtasks s JOIN executions e ON e.execution_id = s.execution_id
    WHERE s.dispatched_at IS NULL AND s.ended_at IS NULL
    ORDER BY s.execution_id, s.ordinal LIMIT ?
"""  # noqa: S608  (the same)


def insert(tx: Transaction, subtasks: Iterable[Subtask]) -> None:
    """Write down new subtasks."""
    tx.executemany(ROWS.insert, [ROWS.values(subtask) for subtask in subtasks])


def page(tx: Transaction, execution_id: str, *, offset: int, limit: int) -> list[Subtask]:
    """One stretch of an execution's subtasks in their order."""
    rows = tx.execute(
        f"SELECT {ROWS.columns} FROM subtasks WHERE execution_id = ? AND ordinal > ? ORDER BY ordinal LIMIT ?",  # noqa: S608
        (execution_id, offset, limit),
    )
    return [ROWS.read(row) for row in rows]


def waiting(tx: Transaction, count_max: int) -> list[Due]:
    """Subtasks that nobody was told to carry out yet, oldest execution first (leans on subtasks_waiting)."""
    return [_due(row) for row in tx.execute(_WAITING, (count_max,))]


def live(tx: Transaction) -> list[tuple[str, int]]:
    """(execution_id, ordinal) of every dispatched subtask without an end (leans on one_live_action_per_server)."""
    return tx.execute(
        "SELECT execution_id, ordinal FROM subtasks WHERE dispatched_at IS NOT NULL AND ended_at IS NULL"
    ).fetchall()


def live_on(tx: Transaction, endpoint: str, handle: str) -> TaskType | None:
    """What is being done to a server now, if anything (leans on one_live_action_per_server)."""
    row = tx.execute(
        """
        SELECT e.task_type FROM subtasks s JOIN executions e ON e.execution_id = s.execution_id
        WHERE s.endpoint = ? AND s.handle = ? AND s.dispatched_at IS NOT NULL AND s.ended_at IS NULL
        """,
        (endpoint, handle),
    ).fetchone()
    return None if row is None else TaskType(row[0])


def read_due(tx: Transaction, references: Iterable[tuple[str, int]]) -> list[Due]:
    """The subtasks of these references with what their executions say."""
    rows = (tx.execute(_DUE, reference).fetchone() for reference in references)
    return [_due(row) for row in rows if row is not None]


def overdue(tx: Transaction, *, unbegun_before: datetime, unsettled_before: datetime) -> list[tuple[str, int, bool]]:
    """(execution_id, ordinal, begun) of live subtasks past their time.

    Not begun although beginning was over at ``unbegun_before``, or begun and past the deadline at ``unsettled_before``.
    """
    rows = tx.execute(
        """
        SELECT s.execution_id, s.ordinal, s.began_at IS NOT NULL FROM subtasks s
        WHERE s.dispatched_at IS NOT NULL AND s.ended_at IS NULL AND (
            s.settle_until < ?
            OR s.began_at IS NULL AND (SELECT start_until FROM executions e WHERE e.execution_id = s.execution_id) < ?
        )
        """,
        (text_of(unsettled_before), text_of(unbegun_before)),
    )
    return [(execution_id, ordinal, bool(begun)) for execution_id, ordinal, begun in rows]


def dispatch(tx: Transaction, references: Iterable[tuple[str, int]], now: datetime) -> None:
    """Make subtasks live.

    Leans on one_live_action_per_server: ``sqlite3.IntegrityError`` says that one of the servers is taken.
    """
    at = text_of(now)
    tx.executemany(
        """
        UPDATE subtasks SET dispatched_at = ?
        WHERE execution_id = ? AND ordinal = ? AND dispatched_at IS NULL AND ended_at IS NULL
        """,
        [(at, *reference) for reference in references],
    )


def begin(
    tx: Transaction,
    reference: tuple[str, int],
    *,
    began_at: datetime,
    settle_until: datetime,
    boot_marker: str | None,
    sends: int,
) -> bool:
    """Write down that the server is about to be told for the first time; whether it was the first."""
    return (
        tx.execute(
            """
            UPDATE subtasks SET status = 'RUNNING', began_at = ?, settle_until = ?, boot_marker = ?, sends = ?
            WHERE execution_id = ? AND ordinal = ? AND began_at IS NULL AND ended_at IS NULL
            """,
            (text_of(began_at), text_of(settle_until), boot_marker, sends, *reference),
        ).rowcount
        == 1
    )


def begin_again(tx: Transaction, reference: tuple[str, int], *, boot_marker: str | None, sends: int) -> bool:
    """Write down that the server, observed since, is about to be told again; False if the subtask is over."""
    return (
        tx.execute(
            """
            UPDATE subtasks SET boot_marker = ?, sends = ?, ticket = NULL
            WHERE execution_id = ? AND ordinal = ? AND began_at IS NOT NULL AND ended_at IS NULL AND sends < ?
            """,
            (boot_marker, sends, *reference, sends),
        ).rowcount
        == 1
    )


def keep_ticket(tx: Transaction, reference: tuple[str, int], ticket: str) -> bool:
    """Keep what the driver answered; False if the subtask is over."""
    return (
        tx.execute(
            "UPDATE subtasks SET ticket = ? WHERE execution_id = ? AND ordinal = ? AND ended_at IS NULL",
            (ticket, *reference),
        ).rowcount
        == 1
    )


def settle(
    tx: Transaction,
    reference: tuple[str, int],
    *,
    ended_at: datetime,
    evidence: Evidence | None,
    result_code: ResultCode | None,
    result_message: str | None,
) -> bool | None:
    """End a subtask; True if it was running, False if it had not begun, None if it had ended before."""
    row = tx.execute(
        """
        UPDATE subtasks SET status = ?, ended_at = ?, evidence = ?, result_code = ?, result_message = ?
        WHERE execution_id = ? AND ordinal = ? AND ended_at IS NULL
        RETURNING began_at -- and not a test of it: SQLite 3.40 answers 1 for `began_at IS NOT NULL` whatever it is
        """,
        (
            Status.SUCCESS if result_code is None else Status.FAILED,
            text_of(ended_at),
            evidence,
            result_code,
            result_message,
            *reference,
        ),
    ).fetchone()
    return None if row is None else row[0] is not None


def tally(tx: Transaction, execution_id: str) -> tuple[int, int, datetime]:
    """Count an execution's ended subtasks: (succeeded, failed, the latest end)."""
    succeeded, failed, last = tx.execute(
        """
        SELECT sum(status = 'SUCCESS'), sum(status = 'FAILED'), max(ended_at)
        FROM subtasks WHERE execution_id = ?
        """,
        (execution_id,),
    ).fetchone()
    return succeeded, failed, datetime.fromisoformat(last)


def _due(row: Iterable[object]) -> Due:
    return msgspec.convert(dict(zip(Due.__struct_fields__, row, strict=False)), Due, strict=False)
