"""The engine on a real database and a real line, with time and the worker's words in the test's hand."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from builders import NOW, PROJECT, Clock, a_server, after
from fleetcron.dispatch.contract import Began, Command, Event, Settled, Submitted, TakenUp
from fleetcron.dispatch.local import LocalLine
from fleetcron.domain.execution import Evidence, Execution, Reference, ResultCode, Subtask
from fleetcron.domain.fleet import Server, ServerGroup
from fleetcron.domain.task import LateLimits, Task, TaskType
from fleetcron.engine.canceller import Canceller
from fleetcron.engine.dispatcher import Dispatcher, command_for
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
    """The five parts beside one another; each test ticks the one that it is about."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        late_limits: LateLimits | None = None,
        executions_concurrency_max: int | None = None,
    ) -> None:
        self.database = database
        self.clock = clock
        self._late_limits = late_limits or LateLimits()
        self._executions_concurrency_max = executions_concurrency_max
        self._ids = itertools.count(1)
        self._loop = asyncio.new_event_loop()
        self._said: list[asyncio.Task[None]] = []
        self.restart()

    def restart(self) -> None:
        """Go on as a new process: nothing is left but the tables."""
        self.line = LocalLine()
        self.scheduler = self.another_scheduler()
        self.dispatcher = self.another_dispatcher()
        self.canceller = Canceller(self.database, self.line, say=say)
        self.recorder = Recorder(self.database, self.line, say=say)
        self.sweeper = Sweeper(self.database, self.line, say=say)
        self.loop = Loop(
            clock=self.clock,
            line=self.line,
            canceller=self.canceller,
            scheduler=self.scheduler,
            dispatcher=self.dispatcher,
            recorder=self.recorder,
            sweeper=self.sweeper,
        )

    def another_scheduler(self) -> Scheduler:
        return Scheduler(self.database, late_limits=self._late_limits, say=say, new_id=lambda: f"e{next(self._ids):06}")

    def another_dispatcher(self) -> Dispatcher:
        return Dispatcher(
            self.database, self.line, say=say, executions_concurrency_max=self._executions_concurrency_max
        )

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

    def is_held(self, reference: Reference) -> bool:
        """Whether the line has the command of this subtask, or a worker of the line."""
        return self.line.lost([reference]) == []

    @contextmanager
    def without(self, table: str) -> Iterator[None]:
        """Let whoever needs this table fail until the block ends."""
        with self.database.transaction() as tx:
            tx.execute(f"ALTER TABLE {table} RENAME TO missing")
        yield
        with self.database.transaction() as tx:
            tx.execute(f"ALTER TABLE missing RENAME TO {table}")

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
        self.recorder.tick(self.clock())
        return self.answers()

    def commands(self, task_id: str = "t1") -> list[Command]:
        """The commands of the task's newest execution, as they stand."""
        references = [(share.execution_id, share.ordinal) for share in self.subtasks(task_id)]
        with self.database.snapshot() as tx:
            return [command_for(due) for due in subtasks.read_due(tx, references)]

    def hand_back(self, ordinal: int) -> None:
        """Take every command and give one up."""
        self.take()
        (command,) = [command for command in self.commands() if command.ordinal == ordinal]
        self._loop.run_until_complete(self.line.hand_back(command))

    def take_up(self, event: TakenUp) -> Command:
        """Take a subtask up, and say what was left."""
        command = msgspec.structs.replace(_ANY, execution_id=event.execution_id, ordinal=event.ordinal)
        asked = self._loop.create_task(self.line.take_up(command, event.attempt))
        self._spin()
        self.recorder.tick(self.clock())
        self._spin()
        return asked.result()

    def _spin(self) -> None:
        for _ in range(3):
            self._loop.run_until_complete(asyncio.sleep(0))


_ANY = Command(
    execution_id="",
    ordinal=0,
    server_id="",
    endpoint="",
    handle="",
    task_type=TaskType.START_SERVER,
    enforcement=False,
    start_until=NOW,
)


def taken_up(execution_id: str = "e000001", ordinal: int = 1, *, attempt: str = "a1") -> TakenUp:
    return TakenUp(execution_id=execution_id, ordinal=ordinal, attempt=attempt)


def began(
    execution_id: str = "e000001", ordinal: int = 1, *, sends: int = 1, seconds: float = 1, attempt: str = "a1"
) -> Began:
    return Began(
        execution_id=execution_id,
        ordinal=ordinal,
        attempt=attempt,
        began_at=after(seconds),
        settle_until=after(900),
        boot_marker=f"b{sends}",
        sends=sends,
    )


def submitted(
    execution_id: str = "e000001", ordinal: int = 1, *, ticket: str = "ticket", attempt: str = "a1"
) -> Submitted:
    return Submitted(execution_id=execution_id, ordinal=ordinal, attempt=attempt, ticket=ticket)


def settled(
    execution_id: str = "e000001",
    ordinal: int = 1,
    *,
    code: ResultCode | None = None,
    message: str = "why",
    seconds: float = 9,
    attempt: str | None = "a1",
) -> Settled:
    return Settled(
        execution_id=execution_id,
        ordinal=ordinal,
        attempt=attempt,
        ended_at=after(seconds),
        evidence=Evidence.BOOT_MARKER_CHANGED if code is None else None,
        result_code=code,
        result_message=None if code is None else message,
    )
