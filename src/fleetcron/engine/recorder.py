"""From events to history: what workers report is committed in batches, and only then may they go on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

import msgspec

from fleetcron.dispatch.contract import EngineEnd, Event, TakenUp, Verdict
from fleetcron.domain.execution import Execution
from fleetcron.engine import ledger
from fleetcron.engine.dispatcher import command_for
from fleetcron.engine.steps import FOREIGN
from fleetcron.errors import Unavailable
from fleetcron.store import subtasks
from fleetcron.store.database import Database, Transaction

log = logging.getLogger(__name__)

EVENTS_PER_TRANSACTION_MAX = 1_000
UNWRITTEN = Verdict(refused="it could not be recorded")


class Recorder:
    """Applies events in the order in which they were reported, by the law of ``steps``, and answers each.

    An event that is refused tells whoever reported it not to touch the server any more. That a worker begins in time,
    and speaks of its own site's servers, is not left to the worker: its clock may be wrong, its credentials stolen.
    """

    def __init__(self, database: Database, line: EngineEnd, *, say: ledger.Say) -> None:
        self._database = database
        self._line = line
        self._say = say
        self._unrecorded: list[Event] = []

    def tick(self, now: datetime) -> int:
        """Commit the events at hand; how many there were.

        Raises:
            Unavailable: they may not be committed; the next tick tries the same events again.
        """
        self._unrecorded = self._unrecorded or self._line.take_events(EVENTS_PER_TRANSACTION_MAX)
        events = self._unrecorded
        if not events:
            return 0
        try:
            verdicts = self._record(events, now)
        except Unavailable:
            raise
        except Exception:  # an event that cannot be written must fail alone, not stop the engine
            log.exception("A batch of %d events could not be recorded; trying them one by one.", len(events))
            verdicts = [self._record_alone(event, now) for event in events]
        self._unrecorded = []
        self._line.answer(list(zip(events, verdicts, strict=True)))
        return len(events)

    def _record(self, events: Sequence[Event], now: datetime) -> list[Verdict]:
        with self._database.transaction() as tx:
            verdicts, sealed = self._enter(tx, events, now)
        ledger.publish(sealed)
        for event, verdict in zip(events, verdicts, strict=True):
            if verdict is FOREIGN:
                log.warning(
                    "execution %s subtask %d: %s from another site than its endpoint's was refused",
                    event.execution_id,
                    event.ordinal,
                    type(event).__name__,
                )
        return verdicts

    def _record_alone(self, event: Event, now: datetime) -> Verdict:
        try:
            (verdict,) = self._record([event], now)
        except Unavailable:
            raise
        except Exception:  # the same
            log.exception("execution %s subtask %d: an event was refused", event.execution_id, event.ordinal)
            return UNWRITTEN
        return verdict

    def _enter(self, tx: Transaction, events: Sequence[Event], now: datetime) -> tuple[list[Verdict], list[Execution]]:
        entry = ledger.enter(tx, events, self._say, now=now, speaks_for=self._line.speaks_for)
        asked = [(one.execution_id, one.ordinal) for one in events if isinstance(one, TakenUp)]
        if not asked:
            return entry.verdicts, entry.sealed
        left = {due.reference: command_for(due) for due in subtasks.read_due(tx, asked)}
        verdicts = [
            msgspec.structs.replace(verdict, left=left.get((event.execution_id, event.ordinal)))
            if isinstance(event, TakenUp) and verdict.refused is None
            else verdict
            for event, verdict in zip(events, entry.verdicts, strict=True)
        ]
        return verdicts, entry.sealed
