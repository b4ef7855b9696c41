"""The engine on a real database and a real line, with time and the worker's words in the test's hand."""

from __future__ import annotations

import asyncio
import itertools

from builders import PROJECT, Clock, a_server, after
from fleetcron.dispatch.contract import Began, Command, Event, Settled, Submitted
from fleetcron.dispatch.local import LocalLine
from fleetcron.domain.execution import Evidence, Execution, ResultCode, Subtask
from fleetcron.domain.fleet import Server, ServerGroup
from fleetcron.domain.task import LateLimits, Task
from fleetcron.engine.dispatcher import Dispatcher
from fleetcron.engine.loop import Loop
from fleetcron.engine.recorder import Recorder
from fleetcron.engine.scheduler import Scheduler
from fleetcron.engine.sweeper import Sweeper
from fleetcron.errors import Unavailable
from fleetcron.store import executions, fleet, subtasks, tasks
from fleetcron.store.database import Database


def say(execution: Execution) -> bytes:
    """What assembly would let the wire render."""
    counters = f"{execution.total}/{execution.succeeded}/{execution.failed}/{execution.running}"
    return f"{execution.execution_id} {execution.status} {counters}".encode()


class Engine:
    """The four parts beside one another; each test ticks the one that it is about."""

    def __init__(self, database: Database, clock: Clock, *, late_limits: LateLimits | None = None) -> None:
        self.database = database
        self.clock = clock
        self._late_limits = late_limits or LateLimits()
        self._ids = itertools.count(1)
        self._loop = asyncio.new_event_loop()
        self._said: list[asyncio.Task[None]] = []
        self.restart()

    def restart(self) -> None:
        """Go on as a new process: nothing is left but the tables."""
        self.line = LocalLine()
        self.scheduler = self.another_scheduler()
        self.dispatcher = Dispatcher(self.database, self.line, say=say)
        self.recorder = Recorder(self.database, self.line, say=say)
        self.sweeper = Sweeper(self.database, self.line, say=say)
        self.loop = Loop(
            clock=self.clock,
            line=self.line,
            scheduler=self.scheduler,
            dispatcher=self.dispatcher,
            recorder=self.recorder,
            sweeper=self.sweeper,
        )

    def another_scheduler(self) -> Scheduler:
        return Scheduler(self.database, late_limits=self._late_limits, say=say, new_id=lambda: f"e{next(self._ids):06}")

    def close(self) -> None:
        for said in self._said:
            said.cancel()
        self._spin()
        self._loop.close()

    # What is there

    def add_servers(self, count: int, groups: list[ServerGroup] | None = None, **fields: object) -> list[Server]:
        servers = [a_server(number, **fields) for number in range(1, count + 1)]
        with self.database.transaction() as tx:
            fleet.replace_inventory(tx, PROJECT, servers, groups or [])
        return servers

    def add_tasks(self, *made: Task) -> None:
        with self.database.transaction() as tx:
            for task in made:
                tasks.insert(tx, task)

    def task(self, task_id: str = "t1") -> Task:
        with self.database.snapshot() as tx:
            return tasks.read(tx, [task_id])[0]

    def executions(self, task_id: str = "t1") -> list[Execution]:
        """The task's executions, oldest first."""
        with self.database.snapshot() as tx:
            rows = tx.execute("SELECT execution_id FROM executions WHERE task_id = ? ORDER BY ordinal", (task_id,))
            return executions.read(tx, [key for (key,) in rows.fetchall()])

    def execution(self, task_id: str = "t1") -> Execution:
        """The task's only execution."""
        (execution,) = self.executions(task_id)
        return execution

    def subtasks(self, task_id: str = "t1") -> list[Subtask]:
        """The subtasks of the task's newest execution."""
        newest = self.executions(task_id)[-1]
        with self.database.snapshot() as tx:
            return subtasks.page(tx, newest.execution_id, offset=0, limit=10_000)

    def record(self, task_id: str = "t1") -> bytes | Execution:
        """What the history hands out for the task's newest execution."""
        execution = self.executions(task_id)[-1]
        with self.database.snapshot() as tx:
            return executions.stretch(tx, task_id, execution.ordinal, execution.ordinal)[0]

    # The clock's turns

    def fire(self) -> None:
        """Record what is due and hand it out."""
        self.scheduler.tick(self.clock())
        self.dispatcher.tick(self.clock())

    # The worker's turns

    def take(self) -> list[Command]:
        """Every command that is waiting at the line."""

        async def take() -> list[Command]:
            taking = asyncio.create_task(self.line.take(100_000))
            await asyncio.sleep(0)
            if taking.done():
                return taking.result()
            taking.cancel()
            return []

        return self._loop.run_until_complete(take())

    def report(self, *events: Event) -> None:
        """Say these events at the line, in this order."""
        self.take()
        for event in events:
            self._said.append(self._loop.create_task(self.line.report(event)))
            self._spin()

    def answers(self) -> list[str | None]:
        """What each event said since the last call came to: None, or the reason for which it was rejected."""
        self._spin()
        said, self._said = self._said, []
        assert all(one.done() for one in said), "not answered yet"
        errors = [one.exception() for one in said]
        assert all(error is None or isinstance(error, Unavailable) for error in errors)
        return [None if error is None else str(error) for error in errors]

    def tell(self, *events: Event) -> list[str | None]:
        """Report, record, and say what was answered."""
        self.report(*events)
        self.recorder.tick()
        return self.answers()

    def _spin(self) -> None:
        for _ in range(3):
            self._loop.run_until_complete(asyncio.sleep(0))


def began(execution_id: str = "e000001", ordinal: int = 1, *, sends: int = 1, seconds: float = 1) -> Began:
    return Began(
        execution_id=execution_id,
        ordinal=ordinal,
        began_at=after(seconds),
        settle_until=after(900),
        boot_marker=f"b{sends}",
        sends=sends,
    )


def submitted(execution_id: str = "e000001", ordinal: int = 1) -> Submitted:
    return Submitted(execution_id=execution_id, ordinal=ordinal, ticket="ticket")


def settled(
    execution_id: str = "e000001",
    ordinal: int = 1,
    *,
    code: ResultCode | None = None,
    message: str = "why",
    seconds: float = 9,
) -> Settled:
    return Settled(
        execution_id=execution_id,
        ordinal=ordinal,
        ended_at=after(seconds),
        evidence=Evidence.BOOT_MARKER_CHANGED if code is None else None,
        result_code=code,
        result_message=None if code is None else message,
    )
