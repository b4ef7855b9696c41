"""The worker: takes commands, carries each out at its endpoint, reports how it ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

from fleetcron.dispatch.contract import Command, Settled, WorkerEnd
from fleetcron.domain.execution import ResultCode, short
from fleetcron.errors import Unavailable
from fleetcron.worker.attempt import Attempt
from fleetcron.worker.endpoint import Endpoint
from fleetcron.worker.limits import AttemptConfig

log = logging.getLogger(__name__)

COMMANDS_PER_TAKE_MAX = 1_000
UNDER_WAY_MAX = 20_000


class Worker:
    """Carries out commands, many at a time, each in a task of its own.

    An attempt waits for a place at its endpoint before it looks at the server. Cancelling ``run`` drops what is
    under way where it is: what was begun is found and resolved by whoever takes it up.
    """

    def __init__(
        self,
        line: WorkerEnd,
        endpoints: Mapping[str, Endpoint],
        *,
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        config: AttemptConfig,
    ) -> None:
        self._line = line
        self._endpoints = endpoints
        self._clock = clock
        self._sleep = sleep
        self._config = config
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Take and carry out commands until cancelled."""
        try:
            while True:
                room = UNDER_WAY_MAX - len(self._under_way)
                if room <= 0:
                    await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
                    continue
                for command in await self._line.take(min(room, COMMANDS_PER_TAKE_MAX)):
                    attempt = asyncio.create_task(self._see_through(command))
                    self._under_way.add(attempt)
                    attempt.add_done_callback(self._under_way.discard)
        finally:
            for attempt in self._under_way:
                attempt.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)
            for endpoint in self._endpoints.values():
                await endpoint.aclose()

    async def _see_through(self, command: Command) -> None:
        """Carry out one command and report its end, whatever happens on the way."""
        try:
            try:
                end = await self._carry_out(command)
            except Unavailable:
                raise
            except Exception as error:  # a bug in one attempt must end that subtask, not the worker
                log.exception("execution %s subtask %d: the attempt broke", command.execution_id, command.ordinal)
                end = self._broken(command, error)
            await self._line.report(end)
        except Unavailable as error:
            log.info("execution %s subtask %d: given up: %s", command.execution_id, command.ordinal, error.reason)

    async def _carry_out(self, command: Command) -> Settled:
        endpoint = self._endpoints.get(command.endpoint)
        if endpoint is None:
            # What an earlier worker had begun there may have been done, and there is nobody left to ask.
            code = ResultCode.NO_ENDPOINT if command.began_at is None else ResultCode.UNKNOWN
            return self._end(command, code, f"No endpoint {command.endpoint!r} is configured.")
        async with endpoint.place:
            return await Attempt(
                command, endpoint, self._line, clock=self._clock, sleep=self._sleep, config=self._config
            ).carry_out()

    def _broken(self, command: Command, error: Exception) -> Settled:
        return self._end(command, ResultCode.INTERNAL, f"The attempt broke: {error!r}")

    def _end(self, command: Command, code: ResultCode, message: str) -> Settled:
        return Settled(
            execution_id=command.execution_id,
            ordinal=command.ordinal,
            ended_at=self._clock(),
            result_code=code,
            result_message=short(message),
        )
