"""Live actions in the database: which servers are being acted on, for which subtask, and since when it is handed out.

``subtasks.dispatch`` makes them and ``subtasks.write`` ends them.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from fleetcron.domain.execution import Reference
from fleetcron.store.database import Transaction
from fleetcron.store.rows import json_of, text_of

_OVERDUE = """
    s.execution_id = l.execution_id AND s.ordinal = l.ordinal AND s.ended_at IS NULL
        AND (s.settle_until < :before OR s.began_at IS NULL AND (
            SELECT e.start_until FROM executions e WHERE e.execution_id = s.execution_id AND e.ended_at IS NULL
        ) < :before)
"""
_OF_ALL = f"""
    SELECT l.execution_id, l.ordinal, s.began_at FROM live_actions l CROSS JOIN subtasks s
    WHERE (l.dispatched_at <= :before OR l.dispatched_at > :now) AND {_OVERDUE}
"""  # noqa: S608  (constants)
_OF_THESE = f"""
    SELECT l.execution_id, l.ordinal, s.began_at
    FROM json_each(:hopeless) r CROSS JOIN live_actions l CROSS JOIN subtasks s
    WHERE l.execution_id = (r.value ->> 0) AND l.ordinal = CAST(r.value ->> 1 AS BIGINT) AND {_OVERDUE}
"""  # noqa: S608  (the same)


def per_endpoint(tx: Transaction) -> dict[str, int]:
    """How many there are at each endpoint; together, how many there are."""
    return dict(tx.execute("SELECT endpoint, count(*) FROM live_actions GROUP BY endpoint").fetchall())


def per_execution(tx: Transaction) -> dict[str, int]:
    """How many each execution has."""
    return dict(tx.execute("SELECT execution_id, count(*) FROM live_actions GROUP BY execution_id").fetchall())


def handed_out(tx: Transaction, *, until: datetime, now: datetime) -> list[Reference]:
    """Those last handed out at ``until`` or before.

    And those handed out after ``now``: the clock was set back, and nobody knows how old they are.
    """
    found: list[Reference] = tx.execute(
        "SELECT execution_id, ordinal FROM live_actions WHERE dispatched_at <= ? OR dispatched_at > ?",
        (text_of(until), text_of(now)),
    ).fetchall()
    return found


def hand_out_again(tx: Transaction, references: Iterable[Reference], now: datetime) -> list[Reference]:
    """Note that these are handed out once more at ``now``; those that are still live."""
    return sorted(
        tx.execute(
            """
            UPDATE live_actions SET dispatched_at = ? FROM json_each(?) r
            WHERE live_actions.execution_id = (r.value ->> 0) AND live_actions.ordinal = CAST(r.value ->> 1 AS BIGINT)
            RETURNING execution_id, ordinal
            """,
            (text_of(now), json_of(sorted(references))),
        ).fetchall()
    )


def overdue(
    tx: Transaction, before: datetime, *, now: datetime, hopeless: Iterable[Reference] = ()
) -> list[tuple[str, int, bool]]:
    """(execution_id, ordinal, begun) of those whose time was over at ``before``.

    Not begun although beginning was over, or begun and past the deadline. Whoever was only just handed one, after
    ``before``, gets the time to look: it is not among them, unless it is ``hopeless``.
    """
    rows = tx.execute(_OF_ALL, {"before": text_of(before), "now": text_of(now)}).fetchall()
    if these := sorted(hopeless):
        rows += tx.execute(_OF_THESE, {"before": text_of(before), "hopeless": json_of(these)}).fetchall()
    return [(execution_id, ordinal, began_at is not None) for execution_id, ordinal, began_at in dict.fromkeys(rows)]
