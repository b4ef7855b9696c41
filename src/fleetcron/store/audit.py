"""The audit log in the database, which itself refuses to change a record or to forget one before its time.

It is read in the order of time; a ``Place`` in that order is an instant as the database keeps it and a record's id.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from fleetcron.domain.audit import AuditEntry, AuditFilter, AuditRecord, Outcome
from fleetcron.store.database import Transaction
from fleetcron.store.rows import Rows, text_of

RECORDS = Rows(AuditRecord, "audit")

Place = tuple[str, int]

_TURN: Final = "audit"

# Every instant is written in digits, so text order puts them all between these two.
OLDEST: Final[Place] = ("", 0)
NEWEST: Final[Place] = ("~", 0)

# The bound of "at" says nothing that the pair does not say, but only it lets SQLite begin in the middle of the index.
_BETWEEN = """
    FROM audit
    WHERE at BETWEEN :from_at AND :before_at
        AND (at, record_id) >= (:from_at, :from_id) AND (at, record_id) < (:before_at, :before_id)
"""
_PAGE = f"""
    SELECT {RECORDS.columns} {_BETWEEN}
        AND (account_id = :account_id OR account_id IS NULL)
        AND (CAST(:user AS TEXT) IS NULL OR user_name = :user OR user_id = :user)
        AND (CAST(:operation AS TEXT) IS NULL OR operation = :operation)
        AND decision IN (SELECT value ->> 0 FROM json_each(:decisions))
    ORDER BY at DESC, record_id DESC LIMIT :limit
"""  # noqa: S608  (names are our own fields)
_FURTHER = f"SELECT at, record_id {_BETWEEN} ORDER BY at DESC, record_id DESC LIMIT 1 OFFSET :steps"


def append(tx: Transaction, entries: list[AuditEntry]) -> None:
    """Write entries, in their order, under the next ids (the trigger audit_is_dense); nodes follow one another."""
    tx.take_turn(_TURN)
    rows = [
        RECORDS.values(AuditRecord(**msgspec.structs.asdict(entry), record_id=record_id))
        for record_id, entry in enumerate(entries, start=_next_id(tx))
    ]
    tx.executemany(RECORDS.insert, rows)


def place_of(tx: Transaction, record_id: int) -> Place:
    """Where a record stands; one that is not kept any more stands before all others."""
    row = tx.execute("SELECT at FROM audit WHERE record_id = ?", (record_id,)).fetchone()
    return OLDEST if row is None else (row[0], record_id)


def place_at(instant: datetime) -> Place:
    """Just before the first record of an instant."""
    return text_of(instant), 0


def further_back(tx: Transaction, since: Place, before: Place, *, steps: int) -> Place | None:
    """Where the record stands that comes so many ``steps`` after the newest one between two places; None for none."""
    row = tx.execute(_FURTHER, {**_between(since, before), "steps": steps}).fetchone()
    return None if row is None else (row[0], int(row[1]))


def page(
    tx: Transaction, account_id: str, only: AuditFilter, since: Place, before: Place, *, limit: int
) -> list[AuditRecord]:
    """The newest ``limit`` records between two places that are the account's or nobody's; the first place included.

    The instants of ``only`` are not asked here: the places stand for them.
    """
    asked = {
        **_between(since, before),
        "account_id": account_id,
        "user": only.user,
        "operation": only.operation,
        "decisions": msgspec.json.encode([[one] for one in only.decisions or Outcome]).decode(),
        "limit": limit,
    }
    return [RECORDS.read(row) for row in tx.execute(_PAGE, asked)]


def first_to_keep(tx: Transaction, kept_since: datetime, batch_max: int) -> int:
    """The id below which all records are from before an instant, ``batch_max`` of them at most.

    Until the transaction ends nobody else writes to the log or lets go of its records.
    """
    tx.take_turn(_TURN)
    first, end = _kept_from(tx), _next_id(tx)
    row = tx.execute(
        "SELECT record_id FROM audit WHERE record_id < ? AND at >= ? ORDER BY record_id LIMIT 1",
        (first + batch_max, text_of(kept_since)),
    ).fetchone()
    return min(first + batch_max, end) if row is None else int(row[0])


def let_go(tx: Transaction, before_id: int) -> None:
    """Say that records below this id need not be kept; it cannot be unsaid (trigger audit_retention_only_moves_on)."""
    tx.execute("UPDATE audit_retention SET kept_from = ?", (before_id,))


def delete_let_go(tx: Transaction) -> int:
    """Forget the records that have been let go; how many they were (the trigger audit_is_kept holds the others)."""
    return tx.execute("DELETE FROM audit WHERE record_id < (SELECT kept_from FROM audit_retention)").rowcount


def _between(since: Place, before: Place) -> dict[str, str | int | None]:
    return {"from_at": since[0], "from_id": since[1], "before_at": before[0], "before_id": before[1]}


def _next_id(tx: Transaction) -> int:
    (last,) = tx.execute("SELECT max(record_id) FROM audit").fetchone()
    return max((last or 0) + 1, _kept_from(tx))


def _kept_from(tx: Transaction) -> int:
    (kept_from,) = tx.execute("SELECT kept_from FROM audit_retention").fetchone()
    return int(kept_from)
