"""From recorded subtasks to commands: who may start now, who has to fail instead."""

from __future__ import annotations

from datetime import datetime

from fleetcron.dispatch.contract import Command, EngineEnd, Settled
from fleetcron.domain.execution import ResultCode
from fleetcron.engine import ledger
from fleetcron.store import subtasks
from fleetcron.store.database import Database
from fleetcron.store.subtasks import Due

COMMANDS_PER_TRANSACTION_MAX = 1_000
LIVE_MAX = 20_000


class Dispatcher:
    """Hands out every waiting subtask that may start, oldest execution first, at most LIVE_MAX at a time.

    A subtask is live from the commit that precedes its command. A crash between the two leaves it live without a
    holder, and the sweeper hands it out again.
    """

    def __init__(self, database: Database, line: EngineEnd, *, say: ledger.Say) -> None:
        self._database = database
        self._line = line
        self._say = say

    def tick(self, now: datetime) -> int:
        """Deal with waiting subtasks; how many it dealt with."""
        room = min(COMMANDS_PER_TRANSACTION_MAX, LIVE_MAX - self._line.live_count())
        if room <= 0 or not self._any_waiting():
            return 0
        with self._database.transaction() as tx:
            waiting = subtasks.waiting(tx, room)
            started, refused = _sort(waiting, now)
            subtasks.dispatch(tx, [(due.execution_id, due.ordinal) for due in started], now)
            ledger.settle(tx, refused, self._say)
        self._line.publish([command_for(due) for due in started])
        return len(waiting)

    def _any_waiting(self) -> bool:
        with self._database.snapshot() as tx:
            return bool(subtasks.waiting(tx, 1))


def command_for(due: Due) -> Command:
    """The command that carries out a subtask, with what an earlier worker left."""
    return Command(
        execution_id=due.execution_id,
        ordinal=due.ordinal,
        server_id=due.server_id,
        endpoint=due.endpoint or "",
        handle=due.handle or "",
        task_type=due.task_type,
        enforcement=due.enforcement,
        start_until=due.start_until,
        began_at=due.began_at,
        settle_until=due.settle_until,
        boot_marker=due.boot_marker,
        ticket=due.ticket,
        sends=due.sends,
    )


def _sort(waiting: list[Due], now: datetime) -> tuple[list[Due], list[Settled]]:
    """Tell those that may start from those that must not, and why not."""
    started: list[Due] = []
    refused: list[Settled] = []
    taken: set[tuple[str | None, str | None]] = set()
    for due in waiting:
        server = (due.endpoint, due.handle)
        if now > due.start_until:
            refused.append(_refusal(due, now, ResultCode.MISSED, f"Could not begin by {due.start_until:%H:%M:%S} UTC."))
        elif due.contended or server in taken:
            refused.append(_refusal(due, now, ResultCode.CONFLICT, "Another operation is running on this server."))
        else:
            taken.add(server)
            started.append(due)
    return started, refused


def _refusal(due: Due, now: datetime, code: ResultCode, message: str) -> Settled:
    return Settled(
        execution_id=due.execution_id, ordinal=due.ordinal, ended_at=now, result_code=code, result_message=message
    )
