"""The keeper of history: makes its months ahead, and forgets what is older than it shall be kept.

It works in a thread of its own, in small transactions, for nothing that is due may wait for it. On many nodes each has
one; they take turns.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from fleetcron.errors import Unavailable
from fleetcron.store import partitions, retention
from fleetcron.store.database import Database

log = logging.getLogger(__name__)

ROUND_SECONDS = 3600.0
AGAIN_SECONDS = 60.0
STOP_SECONDS_MAX = 10.0
TASKS_BATCH_MAX = 500
BATCHES_MAX = 10_000
"""Transactions of one round; what is left is for the next one."""


class Keeper:
    """Keeps history for ``history_days`` after each fire; None keeps everything.

    Where history lies in months, it goes month by month: each is kept until its last day is over.
    """

    def __init__(self, database: Database, history_days: int | None) -> None:
        self._database = database
        self._kept = None if history_days is None else timedelta(days=history_days)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, clock: Callable[[], datetime]) -> None:
        """Do a round now, and one every ROUND_SECONDS, in a thread; after one that failed, in AGAIN_SECONDS."""
        self._thread = threading.Thread(target=self._run, args=(clock,), name="keeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the transaction that it is in."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS_MAX)

    def tick(self, now: datetime) -> int:
        """One round; how many executions were forgotten.

        Raises:
            Unavailable: the database does not answer, or a part of a table was in use for too long.
        """
        if self._database.partitioned:
            partitions.make_ahead(self._database, now)
        if self._kept is None:
            return 0
        horizon = now - self._kept
        forgotten = self._drop_months(horizon) if self._database.partitioned else 0
        forgotten += self._shorten(horizon)
        self._forget_tasks(horizon)
        if forgotten:
            log.info("history before %s: forgot %d executions", horizon.isoformat(), forgotten)
        return forgotten

    def _drop_months(self, horizon: datetime) -> int:
        with self._database.snapshot() as tx:
            executions = partitions.over(tx, partitions.EXECUTIONS, horizon)
            subtasks = partitions.over(tx, partitions.SUBTASKS, horizon)
        forgotten = 0
        for month in executions:
            with self._database.transaction() as tx:
                forgotten += partitions.drop_executions(tx, month) or 0
        for month in subtasks:
            with self._database.transaction() as tx:
                partitions.drop_subtasks(tx, month)
        return forgotten

    def _shorten(self, horizon: datetime) -> int:
        table = partitions.EXECUTIONS + (partitions.OTHERS if self._database.partitioned else "")
        forgotten, task_id = 0, ""
        for _ in range(BATCHES_MAX):
            with self._database.snapshot() as tx:
                over = retention.next_over(tx, table, horizon, task_id)
            if over is None or self._stopping.is_set():
                break
            with self._database.transaction() as tx:
                gone = retention.shorten(tx, table, horizon, over)
            # A task is left when nothing more of it can go.
            task_id = over if gone == 0 else task_id
            forgotten += gone
        return forgotten

    def _forget_tasks(self, horizon: datetime) -> None:
        for _ in range(BATCHES_MAX):
            with self._database.transaction() as tx:
                gone = retention.forget_tasks(tx, horizon, TASKS_BATCH_MAX)
            if gone < TASKS_BATCH_MAX or self._stopping.is_set():
                break

    def _run(self, clock: Callable[[], datetime]) -> None:
        wait_seconds = 0.0
        while not self._stopping.wait(wait_seconds):
            try:
                self.tick(clock())
            except Unavailable as error:
                log.warning("keeper: %s", error.reason)
                wait_seconds = AGAIN_SECONDS
            except Exception:
                # The next round tries again.
                log.exception("keeper: a round has failed")
                wait_seconds = AGAIN_SECONDS
            else:
                wait_seconds = ROUND_SECONDS
