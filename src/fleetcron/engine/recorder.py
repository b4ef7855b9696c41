"""From events to history: what workers report is committed in batches, and only then may they go on."""

from __future__ import annotations

import logging

from fleetcron.dispatch.contract import Began, EngineEnd, Event, Settled, Submitted
from fleetcron.engine import ledger
from fleetcron.errors import Unavailable
from fleetcron.store import executions, subtasks
from fleetcron.store.database import Database, Transaction

log = logging.getLogger(__name__)

EVENTS_PER_TRANSACTION_MAX = 1_000


class Recorder:
    """Applies events in the order in which they were reported; a repeated or late one changes nothing.

    An event about a subtask that is over is rejected: whoever reported it must not touch the server any more.
    """

    def __init__(self, database: Database, line: EngineEnd, *, say: ledger.Say) -> None:
        self._database = database
        self._line = line
        self._say = say
        self._unrecorded: list[Event] = []

    def tick(self) -> int:
        """Commit the events at hand; how many there were.

        Raises:
            Unavailable: they could not be committed; the next tick tries the same events again.
        """
        self._unrecorded = self._unrecorded or self._line.take_events(EVENTS_PER_TRANSACTION_MAX)
        events = self._unrecorded
        if not events:
            return 0
        try:
            with self._database.transaction() as tx:
                lost = self._apply(tx, events)
        except Unavailable:
            raise
        except Exception:  # an event that cannot be written must fail alone, not stop the engine
            log.exception("A batch of %d events could not be recorded; trying them one by one.", len(events))
            lost = self._record_one_by_one(events)
        self._unrecorded = []
        self._line.confirm([event for event in events if id(event) not in lost])
        self._line.reject([event for event in events if id(event) in lost], "the subtask is over")
        return len(events)

    def _record_one_by_one(self, events: list[Event]) -> set[int]:
        lost: set[int] = set()
        for event in events:
            try:
                with self._database.transaction() as tx:
                    lost |= self._apply(tx, [event])
            except Unavailable:
                raise
            except Exception:  # the same
                log.exception("execution %s subtask %d: an event was refused", event.execution_id, event.ordinal)
                lost.add(id(event))
        return lost

    def _apply(self, tx: Transaction, events: list[Event]) -> set[int]:
        """Apply events; the identities of those that came too late."""
        lost: set[int] = set()
        begun = []
        settled: list[Settled] = []
        ended: set[tuple[str, int]] = set()
        for event in events:
            match event:
                case Began() | Submitted() if (event.execution_id, event.ordinal) in ended:
                    lost.add(id(event))
                case Began():
                    first = _begin(tx, event)
                    if first:
                        begun.append((event.execution_id, event.began_at))
                    elif first is None:
                        lost.add(id(event))
                case Submitted():
                    if not subtasks.keep_ticket(tx, (event.execution_id, event.ordinal), event.ticket):
                        lost.add(id(event))
                case Settled():
                    settled.append(event)
                    ended.add((event.execution_id, event.ordinal))
        executions.begin(tx, begun)
        won = {id(event) for event in ledger.settle(tx, settled, self._say)}
        return lost | {id(event) for event in settled if id(event) not in won}


def _begin(tx: Transaction, event: Began) -> bool | None:
    """True if this began the subtask, False if it went on with a begun one, None if the subtask is over."""
    reference = (event.execution_id, event.ordinal)
    if event.sends == 1 and subtasks.begin(
        tx,
        reference,
        began_at=event.began_at,
        settle_until=event.settle_until,
        boot_marker=event.boot_marker,
        sends=event.sends,
    ):
        return True
    if event.sends > 1 and subtasks.begin_again(tx, reference, boot_marker=event.boot_marker, sends=event.sends):
        return False
    return None
