"""What the engine tells a worker and what a worker tells back, and the two ends of the line between them.

The order is the promise. A worker says *Began* and may tell the server only when the engine has answered that this is
committed. Whoever comes to a command that was handed out before says *TakenUp* first, learns what was left, and from
then on the one who had it before is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from fleetcron.domain.execution import Evidence, Reference, ResultCode
from fleetcron.domain.task import TaskType


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """Carry out one subtask.

    Nothing may be sent to the server after ``start_until``. ``began_at`` is set when an earlier attempt had
    begun: then ``boot_marker``, ``ticket`` and ``sends`` are what it left, and the server must be observed
    before anything is sent to it again. ``again`` tells that the command was handed out before, so that more may
    have been left than it says: it has to be taken up.
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
    again: bool = False

    @property
    def reference(self) -> Reference:
        """The subtask that this command carries out."""
        return self.execution_id, self.ordinal


class TakenUp(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """``attempt`` carries the subtask out from now on, whoever had it before; answered with what was left."""

    execution_id: str
    ordinal: int
    attempt: str


class Began(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The server is about to be told, for the ``sends``-th time; written down before that happens."""

    execution_id: str
    ordinal: int
    attempt: str
    began_at: datetime
    settle_until: datetime
    boot_marker: str | None
    sends: int


class Submitted(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The driver took the request and gave this ticket to ask after it."""

    execution_id: str
    ordinal: int
    attempt: str
    ticket: str


class Settled(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The subtask is over: a success has ``evidence``, a failure a code and a message.

    ``attempt`` is None for an end that the engine sets itself: it holds against whoever carries the subtask out.
    """

    execution_id: str
    ordinal: int
    attempt: str | None = None
    ended_at: datetime
    evidence: Evidence | None = None
    result_code: ResultCode | None = None
    result_message: str | None = None


Event = TakenUp | Began | Submitted | Settled


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine answers to one event.

    ``refused`` says why it was not committed, None if it was (or had been before: the same event again is accepted
    again). ``over`` tells that the subtask has ended, with this event or before it: its command is done with.
    ``left`` answers a TakenUp: the command as it stands now.
    """

    refused: str | None = None
    over: bool = False
    left: Command | None = None


ACCEPTED = Verdict()


class EngineEnd(Protocol):
    """The engine's end of the line. Its calls return at once; what they could not do shows in ``lost``."""

    def publish(self, commands: Iterable[Command]) -> None:
        """Hand out commands; one that is handed out already is passed over."""
        ...

    def lost(self, references: Sequence[Reference]) -> list[Reference]:
        """Those of these that were not handed out, or whose command is gone without an end: publish them again.

        Raises:
            Unavailable: that cannot be known now.
        """
        ...

    def withdraw(self, references: Iterable[Reference]) -> None:
        """Take back commands whose subtasks are over by the engine's own doing."""
        ...

    def take_events(self, count_max: int) -> list[Event]:
        """The oldest events not yet taken, each worker's in the order in which it reported them."""
        ...

    def speaks_for(self, event: Event, endpoint: str) -> bool:
        """Whether whoever reported this, the very event that ``take_events`` gave, is at the site of this endpoint."""
        ...

    def answer(self, verdicts: Sequence[tuple[Event, Verdict]]) -> None:
        """Say what became of events that ``take_events`` gave; to be called once for each."""
        ...

    def wait(self, timeout_seconds: float) -> None:
        """Sleep until there are events, somebody calls ``wake``, or the time is over."""
        ...

    def wake(self) -> None:
        """End a ``wait`` now; may be called from any thread."""
        ...


class WorkerEnd(Protocol):
    """The worker's end of the line.

    Where it is asked about a command, that is the very object that ``take`` or ``take_up`` gave: an equal one may be of
    an earlier delivery.
    """

    async def take(self, count_max: int) -> list[Command]:
        """Wait for commands; at least one."""
        ...

    async def take_up(self, command: Command, attempt: str) -> Command:
        """Carry the subtask out from now on, whoever had it before; the command as it stands now, not ``again``.

        Raises:
            Unavailable: the subtask is over, or the engine does not say; the command is no longer ours.
        """
        ...

    async def report(self, event: Event) -> None:
        """Tell the engine, and return when it is committed.

        Raises:
            Unavailable: it could not be committed, or the subtask is over or another attempt's; act as if it had not
                been said, and tell the server nothing more. The command is no longer ours.
        """
        ...

    def is_ours(self, command: Command) -> bool:
        """Whether nobody else can have been given this command meanwhile; asked right before a server is told."""
        ...

    async def hand_back(self, command: Command) -> None:
        """Give up a command that is not over, for another worker to take up at once."""
        ...
