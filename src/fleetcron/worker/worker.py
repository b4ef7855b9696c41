"""The worker: takes commands, carries each out at its endpoint, reports how it ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import uuid4

from fleetcron.dispatch.contract import Command, Settled, WorkerEnd
from fleetcron.domain.execution import Reference, ResultCode, short
from fleetcron.errors import Unavailable
from fleetcron.worker.attempt import Attempt
from fleetcron.worker.endpoint import Endpoint
from fleetcron.worker.limits import AttemptConfig

log = logging.getLogger(__name__)

COMMANDS_PER_TAKE_MAX = 1_000
UNDER_WAY_MAX = 20_000
# What broke once may break again at once, and come back to us each time.
BROKEN_PAUSE_SECONDS = 1.0


class Worker:
    """Carries out commands, many at a time, each in a task of its own.

    An attempt waits for a place at its endpoint before it looks at the server. Cancelling ``run`` drops what is
    under way where it is: what was begun is found and resolved by whoever takes it up. ``drain`` ends it with care.

    ``under_way_max`` is how many commands are held at once, ``take_max`` how many are asked for at once: where workers
    share a line, one must not take a whole wave. ``new_id`` names the attempts; no two have ever the same name.
    """

    def __init__(
        self,
        line: WorkerEnd,
        endpoints: Mapping[str, Endpoint],
        *,
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        config: AttemptConfig,
        new_id: Callable[[], str] = lambda: str(uuid4()),
        under_way_max: int = UNDER_WAY_MAX,
        take_max: int = COMMANDS_PER_TAKE_MAX,
    ) -> None:
        self._line = line
        self._endpoints = endpoints
        self._clock = clock
        self._sleep = sleep
        self._config = config
        self._new_id = new_id
        self._under_way_max = under_way_max
        self._take_max = take_max
        self._under_way: dict[asyncio.Task[None], Command] = {}
        self._latest: dict[Reference, asyncio.Task[None]] = {}
        self._taking: asyncio.Task[None] | None = None
        self._drain_seconds = 0.0
        self._draining = False
        self._ended = asyncio.Event()

    @property
    def under_way(self) -> int:
        """How many commands it holds, those that wait for a place included."""
        return len(self._under_way)

    @property
    def taking(self) -> bool:
        """Whether it takes commands: it runs, and nobody has asked it to drain."""
        return self._taking is not None and not self._taking.done() and not self._draining

    async def run(self) -> None:
        """Take and carry out commands until cancelled or drained."""
        self._taking = asyncio.create_task(self._take())
        try:
            await asyncio.wait({self._taking})
            if not self._draining:
                await self._taking
            await self._hand_back(await self._unfinished())
        finally:
            await _dropped(self._taking, *self._under_way)
            for endpoint in self._endpoints.values():
                await endpoint.aclose()
            self._ended.set()

    async def drain(self, seconds: float) -> None:
        """Take nothing new, let what is under way end for so long, hand the rest back to the line; ``run`` ends then.

        Returns when it has ended; at once when it does not run.
        """
        self._drain_seconds = seconds
        self._draining = True
        if self._taking is not None:
            self._taking.cancel()
            await self._ended.wait()

    async def _take(self) -> None:
        while not self._draining:
            room = self._under_way_max - len(self._under_way)
            if room <= 0:
                await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
                continue
            for command in await self._line.take(min(room, self._take_max)):
                self._start(command)

    def _start(self, command: Command) -> None:
        attempt = asyncio.create_task(self._see_through(command, self._latest.get(command.reference)))
        self._under_way[attempt] = command
        self._latest[command.reference] = attempt
        attempt.add_done_callback(self._forget)

    def _forget(self, attempt: asyncio.Task[None]) -> None:
        command = self._under_way.pop(attempt)
        if self._latest.get(command.reference) is attempt:
            del self._latest[command.reference]

    async def _unfinished(self) -> list[Command]:
        """Wait for what is under way, and stop what does not end in time; the commands of these."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=self._drain_seconds)
        attempts = dict(self._under_way)
        await _dropped(*attempts)
        return [command for attempt, command in attempts.items() if attempt.cancelled()]

    async def _hand_back(self, commands: list[Command]) -> None:
        for command in commands:
            try:
                await self._line.hand_back(command)
            except Unavailable as error:
                # Then the line finds out by itself that nobody has it, only later.
                log.warning("execution %s subtask %d: %s", command.execution_id, command.ordinal, error.reason)
        if commands:
            log.info("%d commands were handed back", len(commands))

    async def _see_through(self, command: Command, earlier: asyncio.Task[None] | None) -> None:
        """Carry out one command and report its end, whatever happens on the way."""
        if earlier is not None:
            # The line gave it to us anew, so it counts us as gone. To the line the two look alike; only one may go on.
            await _dropped(earlier)
        attempt = self._new_id()
        try:
            if command.again or command.began_at is not None:
                command = await self._line.take_up(command, attempt)
            try:
                end = await self._carry_out(command, attempt)
            except Unavailable:
                raise
            except Exception as error:  # a bug in one attempt must end that subtask, not the worker
                log.exception("execution %s subtask %d: the attempt broke", command.execution_id, command.ordinal)
                end = self._end(command, attempt, ResultCode.INTERNAL, f"The attempt broke: {error!r}")
            await self._line.report(end)
        except Unavailable as error:
            log.info("execution %s subtask %d: given up: %s", command.execution_id, command.ordinal, error.reason)
        except Exception:  # a bug on our side of the line: held on to, the command would be nobody's and never end
            log.exception("execution %s subtask %d: nothing could be reported", command.execution_id, command.ordinal)
            await self._sleep(BROKEN_PAUSE_SECONDS)
            await self._hand_back([command])

    async def _carry_out(self, command: Command, attempt: str) -> Settled:
        endpoint = self._endpoints.get(command.endpoint)
        if endpoint is None:
            # What an earlier worker had begun there may have been done, and there is nobody left to ask.
            code = ResultCode.NO_ENDPOINT if command.began_at is None else ResultCode.UNKNOWN
            return self._end(command, attempt, code, f"No endpoint {command.endpoint!r} is configured.")
        async with endpoint.place:
            return await Attempt(
                command,
                endpoint,
                self._line,
                attempt=attempt,
                clock=self._clock,
                sleep=self._sleep,
                config=self._config,
            ).carry_out()

    def _end(self, command: Command, attempt: str, code: ResultCode, message: str) -> Settled:
        return Settled(
            execution_id=command.execution_id,
            ordinal=command.ordinal,
            attempt=attempt,
            ended_at=self._clock(),
            result_code=code,
            result_message=short(message),
        )


async def _dropped(*tasks: asyncio.Task[Any]) -> None:
    """Cancel these and wait until they have ended, however they do."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
