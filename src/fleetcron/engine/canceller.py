"""For executions that were cancelled: what has not begun ends, and what has begun runs to its end."""

from __future__ import annotations

from datetime import datetime

from fleetcron.dispatch.contract import EngineEnd, Settled
from fleetcron.domain.execution import ResultCode
from fleetcron.engine import ledger
from fleetcron.store import subtasks
from fleetcron.store.database import Database

CANCELS_PER_TRANSACTION_MAX = 1_000


class Canceller:
    """Ends every subtask of a cancelled execution that has not begun, and takes its command back.

    A worker that begins one at the same moment is first or refused: the engine's word that nothing was sent does not
    hold against a subtask that has begun.
    """

    def __init__(self, database: Database, line: EngineEnd, *, say: ledger.Say) -> None:
        self._database = database
        self._line = line
        self._say = say

    def tick(self, now: datetime) -> int:
        """End what is cancelled; how many subtasks."""
        with self._database.snapshot() as tx:
            cancelled = subtasks.cancelled(tx, CANCELS_PER_TRANSACTION_MAX)
        if not cancelled:
            return 0
        ends = [
            Settled(
                execution_id=execution_id,
                ordinal=ordinal,
                ended_at=now,
                result_code=ResultCode.CANCELLED,
                result_message="The execution was cancelled before it began.",
            )
            for execution_id, ordinal in cancelled
        ]
        return ledger.end(self._database, self._line, ends, self._say)
