"""What the engine tells a worker and what a worker tells back, and the two ends of the line between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from fleetcron.domain.execution import Evidence, ResultCode
from fleetcron.domain.task import TaskType

Reference = tuple[str, int]
"""A subtask's name on the line: (execution_id, ordinal)."""


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """Carry out one subtask.

    Nothing may be sent to the server after ``start_until``. ``began_at`` is set when an earlier worker had
    begun: then ``boot_marker``, ``ticket`` and ``sends`` are what it left, and the server must be observed
    before anything is sent to it again.
    """

    execution_id: str
    ordinal: int
    server_id: str
    endpoint: str
    handle: str
    task_type: TaskType
    enforcement: bool
    start_until: datetime
    began_at: datetime | None = None
    settle_until: datetime | None = None
    boot_marker: str | None = None
    ticket: str | None = None
    sends: int = 0

    @property
    def reference(self) -> Reference:
        """The subtask that this command carries out."""
        return self.execution_id, self.ordinal


class Began(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The server is about to be told, for the ``sends``-th time; written down before that happens."""

    execution_id: str
    ordinal: int
    began_at: datetime
    settle_until: datetime
    boot_marker: str | None
    sends: int


class Submitted(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The driver took the request and gave this ticket to ask after it."""

    execution_id: str
    ordinal: int
    ticket: str


class Settled(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The subtask is over: a success has ``evidence``, a failure a code and a message."""

    execution_id: str
    ordinal: int
    ended_at: datetime
    evidence: Evidence | None = None
    result_code: ResultCode | None = None
    result_message: str | None = None


Event = Began | Submitted | Settled


class EngineEnd(Protocol):
    """The engine's end of the line. Its calls return at once."""

    def publish(self, commands: Iterable[Command]) -> None:
        """Hand out commands; each is live from now until it is released."""
        ...

    def is_live(self, reference: Reference) -> bool:
        """Whether somebody still holds the command: published and neither settled nor given up."""
        ...

    def live_count(self) -> int:
        """How many commands are live."""
        ...

    def take_events(self, count_max: int) -> list[Event]:
        """The oldest events not yet taken, in the order in which they were reported."""
        ...

    def confirm(self, events: Sequence[Event]) -> None:
        """Say that these events are committed: whoever reported them may go on."""
        ...

    def reject(self, events: Sequence[Event], reason: str) -> None:
        """Say that these events could not be committed: whoever reported them must not go on."""
        ...

    def wait(self, timeout_seconds: float) -> None:
        """Sleep until there are events, somebody calls ``wake``, or the time is over."""
        ...

    def wake(self) -> None:
        """End a ``wait`` now; may be called from any thread."""
        ...


class WorkerEnd(Protocol):
    """The worker's end of the line."""

    async def take(self, count_max: int) -> list[Command]:
        """Wait for commands; at least one."""
        ...

    async def report(self, event: Event) -> None:
        """Tell the engine, and return when it is committed.

        Raises:
            Unavailable: it could not be committed; act as if it had not been said.
        """
        ...
