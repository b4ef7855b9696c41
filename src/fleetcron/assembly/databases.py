"""The system of record of several machines, and whether a database answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final, Protocol

from fleetcron.assembly.extras import require_extra
from fleetcron.errors import FleetcronError
from fleetcron.store.database import Database

# The library is imported where it is used: the service in one process does without it.

ASK_SECONDS: Final = 1.0
ANSWER_SECONDS_MAX: Final = 5.0

SILENT: Final = "does not answer"


class ClockedDatabase(Database, Protocol):
    """A database that several machines share, and whose clock they go by."""

    def now(self) -> datetime:
        """The database's clock."""
        ...


def open_database(url: str, *, connections_max: int) -> ClockedDatabase:
    """The system of record behind a URL.

    Raises:
        BadSettings: the URL cannot be meant, the library for it is not installed, or the schema is not this version's.
        Unavailable: the database does not answer.
    """
    require_extra("psycopg", "database")
    from fleetcron.store.postgresql import PostgresqlDatabase  # noqa: PLC0415  (as said above)

    return PostgresqlDatabase(url, connections_max=connections_max)


class Asked:
    """A database whose snapshots never wait: it is asked when somebody wants to know."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def trouble(self) -> str | None:
        """What is wrong, None if it answers."""
        try:
            with self._database.snapshot() as tx:
                tx.execute("SELECT 1").fetchone()
        except FleetcronError:
            return SILENT
        return None


class Watch:
    """Asks a question again and again in a thread of its own, so that whoever wants the answer does not wait for it.

    And so that it is not asked oftener, however many want to know.
    """

    def __init__(self, question: Callable[[], object], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._question = question
        self._clock = clock
        self._answered: float | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more; a question that is under way is left to itself."""
        self._stopping.set()

    def trouble(self) -> str | None:
        """What is wrong: None while the last answer is no more than ANSWER_SECONDS_MAX ago."""
        answered = self._answered
        return None if answered is not None and self._clock() - answered <= ANSWER_SECONDS_MAX else SILENT

    def ask(self) -> None:
        """Ask once, now."""
        try:
            self._question()
        except FleetcronError:
            # Whoever works with it meets the same, and logs it.
            return
        self._answered = self._clock()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.ask()
            self._stopping.wait(ASK_SECONDS)
