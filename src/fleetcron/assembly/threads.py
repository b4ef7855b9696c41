"""The wing that reaches the servers: the worker in a thread, beside the engine's and the one that answers people."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress

import uvloop

from fleetcron.assembly.pulse import Pulse
from fleetcron.worker.worker import Worker

log = logging.getLogger(__name__)

STOP_SECONDS_MAX = 10.0
BEAT_SECONDS = 1.0


class WorkerThread:
    """The worker with an event loop of its own, so that no driver can hold up the answers to people."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._loop = uvloop.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._draining: asyncio.Task[None] | None = None
        self._pulse = Pulse()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def start(self) -> None:
        """Let the worker run."""
        self._pulse.beat()
        self._thread.start()

    def drain(self, seconds: float) -> None:
        """Let the worker take nothing new, and end once it has done or handed back what it has; returns at once."""
        self._call(self._drain, seconds)

    def stop(self) -> None:
        """Drop what is under way and wait for the thread to end."""
        self._call(self._cancel)
        self._thread.join(STOP_SECONDS_MAX)

    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def trouble(self) -> str | None:
        """What is wrong, None if the worker's event loop goes round."""
        return self._pulse.trouble() if self._thread.is_alive() else "has ended"

    def _call(self, what: Callable[..., object], *arguments: object) -> None:
        # A loop that is closed, or closes just now, has nobody left to tell.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(what, *arguments)

    def _drain(self, seconds: float) -> None:
        if self._draining is None:
            self._draining = asyncio.ensure_future(self._worker.drain(seconds))

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _beat(self) -> None:
        self._pulse.beat()
        self._loop.call_later(BEAT_SECONDS, self._beat)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            try:
                runner.run(self._until_cancelled())
            except asyncio.CancelledError:
                log.debug("the worker has stopped")

    async def _until_cancelled(self) -> None:
        self._task = asyncio.current_task()
        self._beat()
        await self._worker.run()
