"""The line inside one process: the engine's thread at one end, the worker's event loop at the other."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterable, Sequence

from fleetcron.dispatch.contract import Command, Event, Reference, Settled
from fleetcron.errors import Unavailable


class LocalLine:
    """Both ends of a line that lives in memory.

    Nothing is kept here: after a crash the tables tell the engine what has to be handed out again. The engine's
    calls may come from any thread; the worker's from one event loop.
    """

    def __init__(self) -> None:
        self._turn = threading.Condition()
        self._commands: deque[Command] = deque()
        self._events: deque[Event] = deque()
        self._live: set[Reference] = set()
        self._reporters: dict[int, asyncio.Future[None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._taker: asyncio.Event | None = None
        self._woken = False

    def publish(self, commands: Iterable[Command]) -> None:
        """Hand out commands; one that is live already is passed over."""
        with self._turn:
            for command in commands:
                if command.reference not in self._live:
                    self._live.add(command.reference)
                    self._commands.append(command)
        self._call_worker(self._offer)

    def is_live(self, reference: Reference) -> bool:
        """Whether the command was published and is neither settled nor given up."""
        return reference in self._live

    def live_count(self) -> int:
        """How many commands are live."""
        return len(self._live)

    def take_events(self, count_max: int) -> list[Event]:
        """The oldest events not yet taken."""
        with self._turn:
            return [self._events.popleft() for _ in range(min(count_max, len(self._events)))]

    def confirm(self, events: Sequence[Event]) -> None:
        """Say that these events are committed."""
        self._release(event for event in events if isinstance(event, Settled))
        if events:
            self._call_worker(self._answer, list(events), None)

    def reject(self, events: Sequence[Event], reason: str) -> None:
        """Say that these events could not be committed; their commands are live no more."""
        self._release(events)
        if events:
            self._call_worker(self._answer, list(events), reason)

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
            with self._turn:
                taken = [self._commands.popleft() for _ in range(min(count_max, len(self._commands)))]
            if taken:
                return taken
            await self._taker.wait()

    async def report(self, event: Event) -> None:
        """Tell the engine, and return when it is committed.

        Raises:
            Unavailable: it could not be committed; act as if it had not been said.
        """
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reporters[id(event)] = answer
        with self._turn:
            self._events.append(event)
            self._turn.notify()
        await answer

    def _release(self, events: Iterable[Event]) -> None:
        with self._turn:
            for event in events:
                self._live.discard((event.execution_id, event.ordinal))

    def _call_worker(self, what: object, *arguments: object) -> None:
        """Run something in the worker's loop; a worker that has not come yet or is gone needs no telling."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(what, *arguments)  # type: ignore[arg-type]

    def _offer(self) -> None:
        if self._taker is not None:
            self._taker.set()

    def _answer(self, events: list[Event], reason: str | None) -> None:
        for event in events:
            answer = self._reporters.pop(id(event), None)
            if answer is None or answer.done():
                continue
            if reason is None:
                answer.set_result(None)
            else:
                answer.set_exception(Unavailable(reason))
