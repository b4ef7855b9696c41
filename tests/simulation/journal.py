"""What the checker reads: everything that reached the servers, that people did, and that went wrong, in its order."""

from __future__ import annotations

from datetime import datetime

import msgspec

from fleetcron.domain.execution import Execution, Reference, Subtask
from fleetcron.domain.fleet import Power
from fleetcron.domain.schedule import Rule
from fleetcron.domain.task import Task, TaskType


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """What was committed about a subtask and its server at one moment.

    ``others`` are the other subtasks that had begun on the same server and were not over; ``live_at_endpoint`` counts
    the live ones of the endpoint.
    """

    subtask: Subtask | None
    others: list[Reference]
    live_at_endpoint: int


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order that reached a server at ``at``, sent at ``sent_at``; ``operation`` is None if nothing was done.

    ``attempt`` is the one to which the subtask belonged when it was sent, ``worker`` the life that sent it.
    ``worker_clock`` is what the worker's clock said when it sent it, ``engine_clock_max`` the latest that the engines'
    clock had ever said when it arrived.
    """

    at: float
    sent_at: float
    worker: str
    attempt: str | None
    worker_clock: datetime
    engine_clock_max: datetime
    reference: Reference
    sends: int
    task_type: TaskType
    endpoint: str
    handle: str
    forced: bool
    operation: int | None
    boots_before: int
    recorded: Recorded


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker was shown of a server: as it was at ``at``, told at ``told_at``."""

    at: float
    told_at: float
    worker: str
    handle: str
    idle: bool
    boots: int
    power: Power


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """From ``at`` on the server was like this."""

    at: float
    power: Power
    boots: int


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """An operation had its effect at ``at``."""

    at: float
    operation: int


class Version(msgspec.Struct, kw_only=True):
    """A task as people had it between two of their deeds, by the clock of the engines.

    ``until`` is None while it holds; ``until_max`` is the latest that clock had said by then. ``dropped`` tells that
    it was ended by switching off or deleting, which drops a fire that is due and not recorded yet. ``next_fire_at`` is
    what the task said then.
    """

    task_id: str
    rule: Rule
    task: Task
    since: datetime
    until: datetime | None = None
    until_max: datetime | None = None
    dropped: bool = False
    next_fire_at: datetime | None = None


class Cancel(msgspec.Struct, frozen=True, kw_only=True):
    """A cancel that was committed at ``at``, when these subtasks of the execution had not begun."""

    at: float
    execution_id: str
    unbegun: list[Reference]


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """A live subtask at the end of the bound after the last fault; ``held`` tells that a living worker has it."""

    reference: Reference
    held: bool


class Story(msgspec.Struct, kw_only=True):
    """One world's life from its first to its last moment."""

    seed: int
    orders: list[Order] = []
    looks: list[Look] = []
    effects: list[Effect] = []
    moments: dict[str, list[Moment]] = {}
    versions: list[Version] = []
    cancels: list[Cancel] = []
    holdings: list[Holding] = []
    wipes: list[float] = []
    faults: dict[str, int] = {}
    broken: list[str] = []
    trace: list[str] = []
    # The tables at the end.
    tasks: list[Task] = []
    executions: list[Execution] = []
    subtasks: list[Subtask] = []
    records: dict[str, bytes | None] = {}
    live: list[Reference] = []
    engine_clock: datetime | None = None
    healed_at: float = 0.0
    ended_at: float = 0.0

    def count(self, fault: str) -> None:
        """One more fault of this kind."""
        self.faults[fault] = self.faults.get(fault, 0) + 1
