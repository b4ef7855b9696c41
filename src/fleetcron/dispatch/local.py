"""The line inside one process: the engine's thread at one end, the worker's event loop at the other."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import count
from typing import NamedTuple

from fleetcron.dispatch.contract import Command, Event, Settled, TakenUp, Verdict
from fleetcron.domain.execution import Reference
from fleetcron.errors import Unavailable


class LocalLine:
    """Both ends of a line that lives in memory, for one engine and one worker.

    Nothing is kept here: after a crash the tables tell the engine what has to be handed out again. A command is held
    from its publication until its subtask is over, the engine refuses one of its reports, or it is handed back. The
    engine's calls may come from any thread; the worker's from one event loop.
    """

    def __init__(self) -> None:
        self._turn = threading.Condition()
        self._numbers = count(1)
        self._commands: deque[tuple[int, Command]] = deque()
        self._held: dict[Reference, int] = {}
        self._events: deque[Event] = deque()
        self._reports: dict[int, _Report] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._taker: asyncio.Event | None = None
        self._woken = False

    def publish(self, commands: Iterable[Command]) -> None:
        """Hand out commands; one that is handed out already is passed over."""
        with self._turn:
            for command in commands:
                if command.reference not in self._held:
                    number = self._held[command.reference] = next(self._numbers)
                    self._commands.append((number, command))
        self._call_worker(self._offer)

    def lost(self, references: Sequence[Reference]) -> list[Reference]:
        """Those of these that are not held: publish them again."""
        with self._turn:
            return [reference for reference in references if reference not in self._held]

    def withdraw(self, references: Iterable[Reference]) -> None:
        """Take back commands; whoever took one already learns it from the answer to its next report."""
        with self._turn:
            for reference in references:
                self._held.pop(reference, None)

    def take_events(self, count_max: int) -> list[Event]:
        """The oldest events not yet taken."""
        with self._turn:
            return [self._events.popleft() for _ in range(min(count_max, len(self._events)))]

    def speaks_for(self, event: Event, endpoint: str) -> bool:  # noqa: ARG002  (the contract asks about one event)
        """Always: the only worker reaches every endpoint."""
        return True

    def answer(self, verdicts: Sequence[tuple[Event, Verdict]]) -> None:
        """Say what became of events that ``take_events`` gave; to be called once for each."""
        with self._turn:
            told = [(self._reports.pop(id(event)), verdict) for event, verdict in verdicts]
            for report, verdict in told:
                self._release(report, verdict)
        self._call_worker(_tell, told)

    def wait(self, timeout_seconds: float) -> None:
        """Sleep until there are events, somebody calls ``wake``, or the time is over."""
        with self._turn:
            self._turn.wait_for(lambda: self._events or self._woken, timeout_seconds)
            self._woken = False

    def wake(self) -> None:
        """End a ``wait`` now."""
        with self._turn:
            self._woken = True
            self._turn.notify()

    async def take(self, count_max: int) -> list[Command]:
        """Wait for commands; at least one."""
        self._loop = asyncio.get_running_loop()
        if self._taker is None:
            self._taker = asyncio.Event()
        while True:
            self._taker.clear()
            taken = self._next(count_max)
            if taken:
                return taken
            await self._taker.wait()

    async def take_up(self, command: Command, attempt: str) -> Command:
        """Carry the subtask out from now on, whoever had it before; the command as it stands now.

        Raises:
            Unavailable: the subtask is over, or the engine does not say; the command is no longer ours.
        """
        verdict = await self._accepted(
            TakenUp(execution_id=command.execution_id, ordinal=command.ordinal, attempt=attempt)
        )
        if verdict.left is None:
            await self.hand_back(command)
            raise Unavailable("the engine does not say what was left")
        return verdict.left

    async def report(self, event: Event) -> None:
        """Tell the engine, and return when it is committed.

        Raises:
            Unavailable: it could not be committed, or the subtask is over or another attempt's; act as if it had not
                been said, and tell the server nothing more. The command is no longer ours.
        """
        await self._accepted(event)

    def is_ours(self, command: Command) -> bool:  # noqa: ARG002  (the contract asks about one command)
        """Always: there is no other worker, and one that was frozen froze with its engine."""
        return True

    async def hand_back(self, command: Command) -> None:
        """Give up a command that is not over; it is lost, and the engine hands it out again."""
        self.withdraw([command.reference])

    async def _accepted(self, event: Event) -> Verdict:
        self._loop = asyncio.get_running_loop()
        said: asyncio.Future[Verdict] = self._loop.create_future()
        with self._turn:
            self._reports[id(event)] = _Report(event, self._held.get((event.execution_id, event.ordinal)), said)
            self._events.append(event)
            self._turn.notify()
        verdict = await said
        if verdict.refused is not None:
            raise Unavailable(verdict.refused)
        return verdict

    def _next(self, count_max: int) -> list[Command]:
        """The oldest commands that nobody has taken and that were not taken back meanwhile."""
        taken: list[Command] = []
        with self._turn:
            while self._commands and len(taken) < count_max:
                number, command = self._commands.popleft()
                if self._held.get(command.reference) == number:
                    taken.append(command)
        return taken

    def _release(self, report: _Report, verdict: Verdict) -> None:
        event = report.event
        reference = (event.execution_id, event.ordinal)
        if verdict.over or (isinstance(event, Settled) and verdict.refused is None):
            self._held.pop(reference, None)
        elif verdict.refused is not None and self._held.get(reference) == report.number:
            # The late word of one who had the command before must not take it from the one who has it now.
            self._held.pop(reference, None)

    def _call_worker(self, what: object, *arguments: object) -> None:
        """Run something in the worker's loop; a worker that has not come yet or is gone needs no telling."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(what, *arguments)  # type: ignore[arg-type]

    def _offer(self) -> None:
        if self._taker is not None:
            self._taker.set()


class _Report(NamedTuple):
    """An event on its way: about which handing out of its command, and who waits for the answer."""

    event: Event
    number: int | None
    said: asyncio.Future[Verdict]


def _tell(told: list[tuple[_Report, Verdict]]) -> None:
    for report, verdict in told:
        if not report.said.done():
            report.said.set_result(verdict)
