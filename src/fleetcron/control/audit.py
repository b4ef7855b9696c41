"""The audit log: every call that was refused, and every one that may have changed something.

What was allowed is written before it is answered: no change is confirmed to anybody without its record. What was
refused waits in memory and is written within FLUSH_SECONDS, because refusing must not wait for the disk; ``kill -9``
loses what waits then, a normal end loses nothing. A flood of refused calls is written no faster than BATCH_MAX in
FLUSH_SECONDS; a record says how many calls were left out.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from fleetcron.control.administration import require_management
from fleetcron.domain.access import Caller
from fleetcron.domain.audit import PAGE_MAX, TEXT_LENGTH_MAX, AuditEntry, AuditFilter, AuditPage, Outcome
from fleetcron.errors import Unavailable
from fleetcron.store import audit as store
from fleetcron.store.database import Database, Transaction

log = logging.getLogger(__name__)

FLUSH_SECONDS = 1.0
BATCH_MAX = 200
WAITING_MAX = 2000
STOP_SECONDS_MAX = 10.0

LOOKED_AT_MAX = 5000
"""Records that one page looks at: it is read where nothing may wait for long."""

TRIM_SECONDS = 3600.0
TRIM_BATCH_MAX = 1000
TRIM_BATCHES_MAX = 100

OVERFLOW = "AuditOverflow"
"""What stands as the operation of the record that says how many were left out."""


class Audit:
    """The log; records are kept for ``retention_days`` and then forgotten."""

    def __init__(self, database: Database, retention_days: int) -> None:
        self._database = database
        self._kept = timedelta(days=retention_days)
        self._waiting: deque[AuditEntry] = deque()
        self._left_out = 0
        # Of the queue, held for moments; and of the one who writes, so that no batch is written twice.
        self._turn, self._writing = threading.Lock(), threading.Lock()
        self._stopping = threading.Event()
        self._writer: threading.Thread | None = None

    def start(self, clock: Callable[[], datetime]) -> None:
        """Let what waits be written, and what is over be forgotten, by a thread of the log's own."""
        self._writer = threading.Thread(target=self._run, args=(clock,), name="audit", daemon=True)
        self._writer.start()

    def stop(self) -> None:
        """End the thread and write what still waits; the database has to be open until this returns."""
        self._stopping.set()
        if self._writer is not None:
            self._writer.join(STOP_SECONDS_MAX)
        try:
            while self.flush():
                pass
        except Unavailable as error:
            log.error("audit: %d records are lost: %s", len(self._waiting), error.reason)  # noqa: TRY400  (says why)

    def record(self, entry: AuditEntry) -> None:
        """Put a call on record: now if it was allowed, soon if it was refused, and then without waiting for anything.

        Raises:
            Unavailable: it was allowed, and cannot be written now.
        """
        entry = _bounded(entry)
        if entry.decision is Outcome.ALLOWED:
            self._append([entry])
            return
        with self._turn:
            if len(self._waiting) < WAITING_MAX:
                self._waiting.append(entry)
            else:
                self._left_out += 1

    def flush(self) -> int:
        """Write the next BATCH_MAX of those that wait; how many they were.

        Raises:
            Unavailable: they cannot be written now, and go on waiting.
        """
        with self._writing:
            with self._turn:
                batch, left_out = [*self._waiting][:BATCH_MAX], self._left_out
            if not batch:
                return 0
            self._append([*batch, _overflow(batch[-1], left_out)] if left_out else batch)
            with self._turn:
                self._left_out -= left_out
                for _ in batch:
                    self._waiting.popleft()
            return len(batch)

    def page(self, caller: Caller, only: AuditFilter, *, before: int | None = None, limit: int = PAGE_MAX) -> AuditPage:
        """Records of the caller's account and of calls that nobody was known to make, newest first.

        ``before`` goes on after a page: its ``next_before``. One page looks at LOOKED_AT_MAX records.

        Raises:
            Forbidden: the caller does not manage the account.
        """
        require_management(caller, account_id=caller.account_id)
        with self._database.snapshot() as tx:
            since = store.OLDEST if only.since is None else store.place_at(only.since)
            until = store.NEWEST if only.until is None else store.place_at(only.until)
            newest = until if before is None else min(until, store.place_of(tx, before))
            reached = store.further_back(tx, since, newest, steps=LOOKED_AT_MAX - 1)
            found = store.page(tx, caller.account_id, only, reached or since, newest, limit=min(limit, PAGE_MAX) + 1)
        shown = found[: min(limit, PAGE_MAX)]
        if len(found) > len(shown):
            return AuditPage(records=shown, next_before=shown[-1].record_id)
        return AuditPage(records=shown, next_before=None if reached is None else reached[1])

    def trim(self, now: datetime) -> int:
        """Forget records that are over, TRIM_BATCH_MAX in a transaction; how many, at most TRIM_BATCHES_MAX batches.

        The oldest go first, in the order of writing: one that is not over yet keeps those that were written after it.
        """
        forgotten = 0
        for _ in range(TRIM_BATCHES_MAX):
            with self._database.transaction() as tx:
                gone = self._trim(tx, now)
            forgotten += gone
            if gone < TRIM_BATCH_MAX:
                break
        return forgotten

    def _run(self, clock: Callable[[], datetime]) -> None:
        rounds = 0
        while not self._stopping.wait(FLUSH_SECONDS):
            try:
                self.flush()
                if rounds % int(TRIM_SECONDS / FLUSH_SECONDS) == 0:
                    self.trim(clock())
            except Exception:
                # The next round tries again; meanwhile the queue is bounded.
                log.exception("audit: records could not be written")
            rounds += 1

    def _append(self, entries: list[AuditEntry]) -> None:
        with self._database.transaction() as tx:
            store.append(tx, entries)

    def _trim(self, tx: Transaction, now: datetime) -> int:
        store.let_go(tx, store.first_to_keep(tx, now - self._kept, TRIM_BATCH_MAX))
        return store.delete_let_go(tx)


def _bounded(entry: AuditEntry) -> AuditEntry:
    """The entry with every text as a record can hold it: cut, and without NUL, which PostgreSQL cannot keep.

    What a batch cannot be written for would keep all others of it from being written, too.
    """
    texts = {name: value for name, value in msgspec.structs.asdict(entry).items() if isinstance(value, str)}
    changed = {name: text for name, value in texts.items() if (text := _kept(value)) != value}
    return msgspec.structs.replace(entry, **changed) if changed else entry


def _kept(text: str) -> str:
    text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return f"{text[: TEXT_LENGTH_MAX - 1]}…" if len(text) > TEXT_LENGTH_MAX else text


def _overflow(last: AuditEntry, left_out: int) -> AuditEntry:
    """What is said of those for which there was no room."""
    return AuditEntry(
        at=last.at,
        user_id=None,
        user_name=None,
        account_id=None,
        project_id=None,
        source="",
        operation=OVERFLOW,
        action=None,
        resource="",
        status=0,
        decision=Outcome.DENIED,
        policy=None,
        reason=f"{left_out} refused calls are not on record: too many at once.",
        request_id="",
    )
