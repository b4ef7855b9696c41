"""For what nobody holds and what has run out of time: hand it out again, or end it."""

from __future__ import annotations

from datetime import datetime, timedelta

from fleetcron.dispatch.contract import EngineEnd, Reference, Settled
from fleetcron.domain.execution import ResultCode
from fleetcron.engine import ledger
from fleetcron.engine.dispatcher import command_for
from fleetcron.store import subtasks
from fleetcron.store.database import Database

SWEEP_SECONDS = 1.0
# The worker ends what is overdue itself and knows more about it; the sweeper is for workers that cannot. Longer than
# a driver may take to submit, so that nobody is told after the end.
GRACE_SECONDS = 40.0
ORPHANS_PER_SWEEP_MAX = 2_000


class Sweeper:
    """Once in SWEEP_SECONDS looks at every live subtask: each has a holder and a future, or gets one, or ends."""

    def __init__(self, database: Database, line: EngineEnd, *, say: ledger.Say) -> None:
        self._database = database
        self._line = line
        self._say = say
        self._next_at: datetime | None = None
        self._adopted: dict[Reference, datetime] = {}

    def tick(self, now: datetime) -> int:
        """Sweep if it is time; how many subtasks were handed out again or ended."""
        if self._next_at is not None and self._next_at - timedelta(seconds=SWEEP_SECONDS) <= now < self._next_at:
            return 0
        self._next_at = now + timedelta(seconds=SWEEP_SECONDS)
        return self._adopt_orphans(now) + self._end_overdue(now)

    def _end_overdue(self, now: datetime) -> int:
        before = now - timedelta(seconds=GRACE_SECONDS)
        with self._database.snapshot() as tx:
            overdue = subtasks.overdue(tx, unbegun_before=before, unsettled_before=before)
        # Whoever has only just got hold of one gets the time to look: there may be a success to be seen.
        self._adopted = {reference: at for reference, at in self._adopted.items() if before < at <= now}
        overdue = [one for one in overdue if one[:2] not in self._adopted]
        if not overdue:
            return 0
        ends = [
            Settled(
                execution_id=execution_id,
                ordinal=ordinal,
                ended_at=now,
                result_code=ResultCode.TIMEOUT if begun else ResultCode.MISSED,
                result_message="No end was reported by its deadline." if begun else "No worker began it in time.",
            )
            for execution_id, ordinal, begun in overdue
        ]
        with self._database.transaction() as tx:
            won = ledger.settle(tx, ends, self._say)
        # Whoever still holds one of them learns it from the rejection of its next event.
        self._line.confirm(won)
        return len(won)

    def _adopt_orphans(self, now: datetime) -> int:
        with self._database.snapshot() as tx:
            orphans = [reference for reference in subtasks.live(tx) if not self._line.is_live(reference)]
            found = subtasks.read_due(tx, orphans[:ORPHANS_PER_SWEEP_MAX])
        commands = [command_for(due) for due in found]
        self._adopted.update((command.reference, now) for command in commands)
        self._line.publish(commands)
        return len(found)
