"""Time that passes when nobody has anything left to do, and processes that can be frozen and killed in it.

One event loop runs everything. What belongs to a process is marked with it, so that a frozen one's steps wait and a
dead one's are dropped. Synchronous code (an engine) runs in a thread of its own, of which exactly one runs at a time:
it gives the baton back whenever it waits, so the same seed always takes the same steps.
"""

from __future__ import annotations

import asyncio
import heapq
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context, ContextVar, copy_context
from typing import Any, cast

STEPS_MAX = 5_000_000

Callback = Callable[..., object]


class Died(BaseException):
    """The process is dead; whatever it was doing is over."""


class Process:
    """Something that can be frozen, thawed and killed: an engine or a worker in one of its lives."""

    def __init__(self, name: str, life: int = 1) -> None:
        self.name = name
        self.life = life
        self.frozen = False
        self.dead = False
        self.parked: list[_Step] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.strand: Strand | None = None
        self.drain: Callable[[float], Coroutine[Any, Any, None]] | None = None

    def __repr__(self) -> str:
        return f"{self.name}.{self.life}"


PROCESS: ContextVar[Process | None] = ContextVar("PROCESS", default=None)


class _Step(asyncio.TimerHandle):
    """A callback with the process that it belongs to."""

    __slots__ = ("process",)

    def __init__(
        self, when: float, callback: Callback, args: Sequence[object], loop: VirtualLoop, context: Context | None
    ) -> None:
        context = copy_context() if context is None else context
        super().__init__(when, callback, args, cast("asyncio.AbstractEventLoop", loop), context)
        self.process: Process | None = context.get(PROCESS)


class VirtualLoop:
    """The part of an event loop that needs no outside, on a clock that jumps to the next timer."""

    def __init__(self) -> None:
        # All that asyncio asks of a loop in here; what else loops have, nobody here asks for.
        self._self = cast("asyncio.AbstractEventLoop", self)
        self._now = 0.0
        self._number = 0
        self._ready: deque[_Step] = deque()
        self._timers: list[tuple[float, int, _Step]] = []
        self.broken: list[str] = []
        self.steps = 0

    def run(self, is_over: Callable[[], bool], until: float) -> None:
        """Take steps until ``is_over`` says so, ``until`` has come, or nothing is left to happen."""
        asyncio._set_running_loop(self._self)
        try:
            while not is_over() and self._turn(until):
                if self.steps > STEPS_MAX:
                    raise AssertionError("the world does not come to rest")
        finally:
            asyncio._set_running_loop(None)

    def spawn(self, process: Process, story: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a story that belongs to ``process``."""
        context = copy_context()
        context.run(PROCESS.set, process)
        task = asyncio.Task(story, loop=self._self, context=context)
        process.tasks.append(task)
        return task

    def thaw(self, process: Process) -> None:
        """Let a frozen process go on with all that it has not done meanwhile."""
        process.frozen = False
        self._ready.extend(process.parked)
        process.parked = []

    def kill(self, process: Process) -> None:
        """End a process where it stands: nothing of it is done any more."""
        process.dead = True
        if process.strand is not None:
            process.strand.let_go()

    def bury(self, process: Process) -> None:
        """Let what a dead process has left be taken apart, unheard; for the end of the story."""
        process.dead = False
        for task in process.tasks:
            task.cancel()
        self.thaw(process)
        self.steps = 0
        self.run(lambda: all(task.done() for task in process.tasks), self._now + 1)

    # What asyncio asks of a loop

    def time(self) -> float:
        return self._now

    def call_soon(self, callback: Callback, *args: object, context: Context | None = None) -> asyncio.Handle:
        step = _Step(self._now, callback, args, self, context)
        self._ready.append(step)
        return step

    def call_at(
        self, when: float, callback: Callback, *args: object, context: Context | None = None
    ) -> asyncio.TimerHandle:
        step = _Step(when, callback, args, self, context)
        self._number += 1
        heapq.heappush(self._timers, (when, self._number, step))
        return step

    def call_later(
        self, delay: float, callback: Callback, *args: object, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self._self)

    def create_task(
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=self._self, name=name, context=context)
        process = PROCESS.get() if context is None else context.get(PROCESS)
        if process is not None:
            process.tasks.append(task)
        return task

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Nothing: a cancelled step is passed over when its time comes."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.broken.append(f"{context.get('message')}: {context.get('exception')!r}")

    def _turn(self, until: float) -> bool:
        if not self._ready:
            while self._timers and self._timers[0][2].cancelled():
                heapq.heappop(self._timers)
            if not self._timers or self._timers[0][0] > until:
                self._now = max(self._now, min(until, self._timers[0][0] if self._timers else until))
                return False
            self._now = max(self._now, self._timers[0][0])
            while self._timers and self._timers[0][0] <= self._now:
                self._ready.append(heapq.heappop(self._timers)[2])
        step = self._ready.popleft()
        self.steps += 1
        process = step.process
        if step.cancelled():
            return True
        if process is None:
            step._run()
        elif process.frozen or process.dead:
            # What a dead one has left is kept, so that it can be taken apart in the end.
            process.parked.append(step)
        else:
            step._run()
        return True


class Strand:
    """A synchronous story in a thread that only runs while it has the baton."""

    def __init__(self, loop: VirtualLoop, process: Process, story: Callable[[], object]) -> None:
        self._loop = loop
        self._process = process
        self._story = story
        self._inside = threading.Semaphore(0)
        self._outside = threading.Semaphore(0)
        self._waking: asyncio.TimerHandle | None = None
        self._over = False
        process.strand = self
        self._context = copy_context()
        self._context.run(PROCESS.set, process)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._wake_after(0.0)

    def pause(self, seconds: float) -> None:
        """Called by the story: let so much time pass; others act meanwhile.

        Raises:
            Died: the process has been killed meanwhile.
        """
        if self._process.dead:
            raise Died
        self._wake_after(seconds)
        self._outside.release()
        self._inside.acquire()
        if self._process.dead:
            raise Died

    def wake(self) -> None:
        """Called by others: end the pause now."""
        if self._waking is not None and not self._process.dead:
            self._waking.cancel()
            self._wake_after(0.0)

    def let_go(self) -> None:
        """Let the thread of a dead process end; if it is the one that runs, it ends by itself."""
        if not self._over and threading.current_thread() is not self._thread:
            self._switch_in()

    def _wake_after(self, seconds: float) -> None:
        self._waking = self._loop.call_later(seconds, self._wake_now, context=self._context)

    def _wake_now(self) -> None:
        self._waking = None
        if not self._over:
            self._switch_in()

    def _switch_in(self) -> None:
        self._inside.release()
        self._outside.acquire()

    def _run(self) -> None:
        self._inside.acquire()
        try:
            if not self._process.dead:
                self._story()
        except Died:
            pass
        except BaseException as error:  # noqa: BLE001  (it is said, and fails the seed)
            self._loop.broken.append(f"{self._process}: {error!r}")
        finally:
            self._over = True
            self._outside.release()
