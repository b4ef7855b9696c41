"""For what nobody holds and what has run out of time: hand it out again, or end it."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from fleetcron.dispatch.contract import EngineEnd, Settled
from fleetcron.domain.execution import Reference, ResultCode
from fleetcron.engine import ledger
from fleetcron.engine.dispatcher import command_for
from fleetcron.errors import Unavailable
from fleetcron.store import live, subtasks
from fleetcron.store.database import Database

log = logging.getLogger(__name__)

SWEEP_SECONDS = 1.0
# What was only just handed out may still be on its way into the line.
REPUBLISH_AFTER_SECONDS = 2.0
# The worker ends what is overdue itself and knows more about it; the sweeper is for workers that cannot. Longer than
# a driver may take to submit, so that nobody is told after the end.
GRACE_SECONDS = 40.0
# While the line does not answer, and for a grace after that, no worker can be heard: what seems to be overdue may have
# ended well long ago, and somebody is about to say so. But everything ends, in an outage without an end, too.
OUTAGE_GRACE_SECONDS = 600.0
ORPHANS_PER_SWEEP_MAX = 2_000


class Sweeper:
    """Once in SWEEP_SECONDS looks at every live subtask: each has a holder and a future, or gets one, or ends.

    When something was handed out last is written down with it, so that engines on several nodes agree on who was only
    just given the time to look.
    """

    def __init__(self, database: Database, line: EngineEnd, *, say: ledger.Say) -> None:
        self._database = database
        self._line = line
        self._say = say
        self._next_at: datetime | None = None
        self._silent_at: datetime | None = None
        self._answers = True
        self._lost_since: dict[Reference, datetime] = {}

    def tick(self, now: datetime) -> int:
        """Sweep if it is time; how many subtasks were handed out again or ended."""
        if self._next_at is not None and self._next_at - timedelta(seconds=SWEEP_SECONDS) <= now < self._next_at:
            return 0
        self._next_at = now + timedelta(seconds=SWEEP_SECONDS)
        return self._hand_out_again(now) + self._end_overdue(now)

    def _end_overdue(self, now: datetime) -> int:
        before = now - timedelta(seconds=OUTAGE_GRACE_SECONDS if self._is_silent(now) else GRACE_SECONDS)
        with self._database.snapshot() as tx:
            overdue = live.overdue(tx, before, now=now, hopeless=self._hopeless(before))
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
        return ledger.end(self._database, self._line, ends, self._say)

    def _hand_out_again(self, now: datetime) -> int:
        until = now - timedelta(seconds=REPUBLISH_AFTER_SECONDS)
        with self._database.snapshot() as tx:
            handed_out = live.handed_out(tx, until=until, now=now)
        lost = self._lost(handed_out, now)
        self._note(handed_out, lost, now)
        orphans = lost[:ORPHANS_PER_SWEEP_MAX]
        if not orphans:
            return 0
        # First written down, then said: a crash between the two leaves them to the next sweep.
        with self._database.transaction() as tx:
            found = subtasks.read_due(tx, live.hand_out_again(tx, orphans, now))
        self._line.publish([command_for(due) for due in found])
        return len(found)

    def _lost(self, handed_out: list[Reference], now: datetime) -> list[Reference]:
        """Those of these that nobody holds; none while that cannot be known."""
        try:
            lost = self._line.lost(handed_out)
        except Unavailable as error:
            if self._answers:
                log.warning("Whether commands are lost cannot be known: %s.", error)
            self._silent_at, self._answers = now, False
            return []
        self._answers = True
        return lost

    def _note(self, handed_out: list[Reference], lost: list[Reference], now: datetime) -> None:
        """Remember since when commands are lost, as often as they are handed out again."""
        held = set(handed_out).difference(lost)
        forgotten = now - timedelta(seconds=OUTAGE_GRACE_SECONDS)
        since = {one: at for one, at in self._lost_since.items() if one not in held and at > forgotten}
        self._lost_since = dict.fromkeys(lost, now) | since

    def _hopeless(self, before: datetime) -> list[Reference]:
        """Those lost again and again since ``before``, as what no line can carry or no worker reads."""
        return [one for one, at in self._lost_since.items() if at <= before]

    def _is_silent(self, now: datetime) -> bool:
        """Whether the line does not answer, or has not done so for a whole grace yet."""
        return self._silent_at is not None and self._silent_at <= now < self._silent_at + timedelta(
            seconds=GRACE_SECONDS
        )
