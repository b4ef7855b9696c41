"""From recorded subtasks to commands: who may start now, who has to fail instead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime

from fleetcron.dispatch.contract import Command, EngineEnd, Settled
from fleetcron.domain.execution import Execution, ResultCode
from fleetcron.engine import ledger
from fleetcron.store import fleet, live, subtasks
from fleetcron.store.database import Database, Transaction
from fleetcron.store.subtasks import Due

COMMANDS_PER_TRANSACTION_MAX = 1_000
LIVE_MAX = 20_000

_TURN = "dispatch"


class Dispatcher:
    """Hands out every waiting subtask that may start, oldest execution first.

    At most LIVE_MAX at a time, at each endpoint as many as it takes, of each execution ``executions_concurrency_max``;
    on however many nodes, for one dispatcher at a time has the turn. An endpoint that is not written down takes what
    comes. A subtask is live from the commit that precedes its command. A crash between the two leaves it live without
    a holder, and the sweeper hands it out again.
    """

    def __init__(
        self, database: Database, line: EngineEnd, *, say: ledger.Say, executions_concurrency_max: int | None = None
    ) -> None:
        self._database = database
        self._line = line
        self._say = say
        self._executions_concurrency_max = executions_concurrency_max

    def tick(self, now: datetime) -> int:
        """Deal with waiting subtasks; how many it dealt with. None when another node has the turn."""
        with self._database.snapshot() as tx:
            if not subtasks.any_waiting(tx):
                return 0
        with self._database.transaction() as tx:
            if not tx.try_turn(_TURN):
                return 0
            started, refused, sealed = self._deal(tx, now)
        self._line.publish([command_for(due) for due in started])
        ledger.publish(sealed)
        return len(started) + refused

    def _deal(self, tx: Transaction, now: datetime) -> tuple[list[Due], int, list[Execution]]:
        rooms = Rooms(
            endpoints=live.per_endpoint(tx),
            endpoint_limits={reach.name: reach.concurrency_max for reach in fleet.endpoints(tx)},
            executions={} if self._executions_concurrency_max is None else live.per_execution(tx),
            execution_limit=self._executions_concurrency_max,
        )
        waiting = subtasks.waiting(
            tx,
            COMMANDS_PER_TRANSACTION_MAX,
            now,
            any_room=rooms.any_left(),
            full_endpoints=rooms.full_endpoints(),
            full_executions=rooms.full_executions(),
        )
        started, refused = _sort(waiting, rooms, now)
        taken = set(subtasks.dispatch(tx, started, now)) if started else set()
        entry = ledger.enter(tx, refused, self._say) if refused else ledger.Entry(verdicts=[], sealed=[])
        return [due for due in started if due.reference in taken], len(refused), entry.sealed


class Rooms:
    """How many more may be live: in all, at each endpoint, of each execution."""

    def __init__(
        self,
        *,
        endpoints: Mapping[str, int],
        endpoint_limits: Mapping[str, int],
        executions: Mapping[str, int],
        execution_limit: int | None,
    ) -> None:
        self._left = LIVE_MAX - sum(endpoints.values())
        self._endpoints = Counter(endpoints)
        self._endpoint_limits = endpoint_limits
        self._executions = Counter(executions)
        self._execution_limit = LIVE_MAX if execution_limit is None else execution_limit

    def any_left(self) -> bool:
        """Whether there is room in all."""
        return self._left > 0

    def full_endpoints(self) -> Iterable[str]:
        """Endpoints that take no more."""
        return [name for name in self._endpoint_limits if not self._takes(name)]

    def full_executions(self) -> Iterable[str]:
        """Executions that have as many live as they may."""
        return [key for key, count in self._executions.items() if count >= self._execution_limit]

    def take(self, due: Due) -> bool:
        """Take the room that the subtask needs, if there is any."""
        endpoint = due.endpoint or ""
        if not self._takes(endpoint) or self._executions[due.execution_id] >= self._execution_limit:
            return False
        self._left -= 1
        self._endpoints[endpoint] += 1
        self._executions[due.execution_id] += 1
        return True

    def _takes(self, endpoint: str) -> bool:
        return self._left > 0 and self._endpoints[endpoint] < self._endpoint_limits.get(endpoint, LIVE_MAX)


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


def _sort(waiting: list[Due], rooms: Rooms, now: datetime) -> tuple[list[Due], list[Settled]]:
    """Tell those that may start from those that must not, and why not. Who finds no room is among neither."""
    started: list[Due] = []
    refused: list[Settled] = []
    taken: set[tuple[str | None, str | None]] = set()
    for due in waiting:
        server = (due.endpoint, due.handle)
        if due.cancelled_at is not None:
            refused.append(_refusal(due, now, ResultCode.CANCELLED, "The execution was cancelled before it began."))
        elif now > due.start_until:
            refused.append(_refusal(due, now, ResultCode.MISSED, f"Could not begin by {due.start_until:%H:%M:%S} UTC."))
        elif due.contended or server in taken:
            refused.append(_refusal(due, now, ResultCode.CONFLICT, "Another operation is running on this server."))
        elif rooms.take(due):
            taken.add(server)
            started.append(due)
    return started, refused


def _refusal(due: Due, now: datetime, code: ResultCode, message: str) -> Settled:
    return Settled(
        execution_id=due.execution_id, ordinal=due.ordinal, ended_at=now, result_code=code, result_message=message
    )
