"""One simulated server: what it is at an instant, by what was asked of it and nothing else."""

from __future__ import annotations

import struct
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from fleetcron.domain.fleet import Power
from fleetcron.domain.task import TaskType
from fleetcron.drivers.contract import Observation


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted operation: over at ``ends_at`` (seconds since 1970, None for never), with or without effect."""

    ordinal: int
    task_type: TaskType
    ends_at: float | None
    fails: bool

    def is_over(self, now: float) -> bool:
        """Whether nothing more will come of it."""
        return self.ends_at is not None and self.ends_at <= now


class Machine:
    """A server that has ``power``, has booted ``boots`` times and has ``users`` people on it.

    ``ordinal`` counts the requests that reached it; ``cut`` names those that a later forced one ended.
    """

    __slots__ = ("boots", "cut", "operation", "ordinal", "power", "resting", "users")

    def __init__(self, *, power: Power, users: int) -> None:
        self.power = power
        self.users = users
        self.boots = 0
        self.ordinal = 0
        self.cut: set[int] = set()
        self.operation: Operation | None = None
        self.resting: Observation | None = None
        """What a look shows while nothing is under way, once somebody has looked."""

    def settle(self, now: float) -> None:
        """Bring the state up to ``now``: an operation that is over has had its effect."""
        if self.operation is not None and self.operation.is_over(now):
            if not self.operation.fails:
                self._take_effect(self.operation.task_type)
            self.operation = None
            self.resting = None

    def is_idle_request(self, task_type: TaskType) -> bool:
        """Whether the server already is what the operation would make it."""
        wanted = {TaskType.START_SERVER: Power.ON, TaskType.STOP_SERVER: Power.OFF}.get(task_type)
        return self.operation is None and wanted is self.power

    def accept(self, operation: Operation) -> None:
        """Begin an operation; one that was still under way is cut short, and whoever was on the server is off it."""
        if self.operation is not None:
            self.cut.add(self.operation.ordinal)
            self.users = 0
        self.ordinal = operation.ordinal
        self.operation = operation

    def _take_effect(self, task_type: TaskType) -> None:
        if task_type is TaskType.STOP_SERVER:
            if self.power is Power.ON:
                self.power, self.users = Power.OFF, 0
        elif task_type is not TaskType.START_SERVER or self.power is Power.OFF:
            self.power, self.users = Power.ON, 0
            self.boots += 1


class Fate(NamedTuple):
    """Four independent draws, evenly from [0, 1)."""

    duration: float
    refuse: float
    fail: float
    hang: float


def draw(name: str) -> Fate:
    """Draw what belongs to ``name``: the same for the same name, in every run and on every machine."""
    first, second, third, fourth = struct.unpack("<4Q", blake2b(name.encode(), digest_size=32).digest())
    # 53 bits are what a float holds exactly: with more, a draw could round up to 1.
    return Fate(*((number >> 11) / 2**53 for number in (first, second, third, fourth)))
