"""The worker's thread: beside the engine's and the one that answers people."""

from __future__ import annotations

import asyncio
import logging
import threading

import uvloop

from fleetcron.worker.worker import Worker

log = logging.getLogger(__name__)

STOP_SECONDS_MAX = 10.0


class WorkerThread:
    """The worker with an event loop of its own, so that no driver can hold up the answers to people."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._loop = uvloop.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def start(self) -> None:
        """Let the worker run."""
        self._thread.start()

    def stop(self) -> None:
        """Drop what is under way and wait for the thread to end."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._cancel)
        self._thread.join(STOP_SECONDS_MAX)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            try:
                runner.run(self._until_cancelled())
            except asyncio.CancelledError:
                log.debug("the worker has stopped")

    async def _until_cancelled(self) -> None:
        self._task = asyncio.current_task()
        await self._worker.run()
