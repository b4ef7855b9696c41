"""The driver by which a worker's process reaches the fleet of the chaos test, as other people's drivers are added.

The service finds it by its name among the entry points of installed distributions; ``offer`` lays one out.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, Final

import msgspec

from chaos.letters import Answer, Question
from fleetcron.domain.fleet import Endpoint
from fleetcron.domain.task import TaskType
from fleetcron.drivers.contract import Capabilities, Observation, Poll, Request
from fleetcron.drivers.registry import ENTRY_POINTS
from fleetcron.errors import DriverError, Indeterminate, Retryable

NAME: Final = "chaos"
ANSWER_SECONDS_MAX = 2.0
LINE_BYTES_MAX = 2**22


class FleetSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the fleet is."""

    port: int


def open_fleet(endpoint: Endpoint, *, state_dir: Path, clock: Callable[[], datetime]) -> FleetDriver:
    """Open the way to the servers of one endpoint."""
    return FleetDriver(endpoint.name, msgspec.convert(endpoint.settings, FleetSettings))


def offer(folder: Path) -> Path:
    """Lay out in ``folder`` what makes this driver an installed one for processes that have it on their path."""
    about = folder / "chaos_driver-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: chaos-driver\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\n{NAME} = {__name__}:{open_fleet.__name__}\n")
    return folder


class FleetDriver:
    """Operates the servers of one endpoint over one connection, made anew when it breaks."""

    def __init__(self, endpoint: str, settings: FleetSettings) -> None:
        self._endpoint = endpoint
        self._port = settings.port
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._connecting = asyncio.Lock()
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def capabilities(self) -> Capabilities:
        """Everything; an order that is on its way arrives within its time."""
        return Capabilities(
            task_types=frozenset(TaskType), counts_users=True, marks_boots=True, notifies=True, acts_within_seconds=1.0
        )

    async def observe(self, handles: Sequence[str]) -> Mapping[str, Observation | DriverError]:
        """Look at many servers at once."""
        said = await self._ask(verb="observe", keys=tuple(handles))
        return {**said.seen, **{handle: one.error() for handle, one in said.refused.items()}}

    async def submit(self, request: Request) -> str:
        """Tell the server once."""
        said = await self._ask(verb="submit", request=request)
        for refused in said.refused.values():
            raise refused.error()
        assert said.ticket is not None
        return said.ticket

    async def poll(self, tickets: Sequence[str]) -> Mapping[str, Poll | DriverError]:
        """Say how far many tickets have come."""
        said = await self._ask(verb="poll", keys=tuple(tickets))
        return {**said.polls, **{ticket: one.error() for ticket, one in said.refused.items()}}

    async def notify(self, handle: str, text: str) -> None:
        """Tell the people who use a server."""
        await self._ask(verb="notify", keys=(handle,), text=text)

    async def aclose(self) -> None:
        """Let go of the connection."""
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _ask(self, **question: Any) -> Answer:  # noqa: ANN401  (the fields of Question)
        """Ask, and wait for the answer.

        Raises:
            Retryable: it could not be asked, or a question that changes nothing was not answered.
            Indeterminate: an order was not answered.
        """
        asked = Question(number=next(self._numbers), worker=os.getpid(), endpoint=self._endpoint, **question)
        try:
            writer = await self._connected()
        except OSError as error:
            raise Retryable(f"the fleet cannot be reached: {error}") from error
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[asked.number] = answer
        writer.write(msgspec.json.encode(asked) + b"\n")
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                return await answer
        except (TimeoutError, ConnectionError) as error:
            kind = Indeterminate if asked.verb == "submit" else Retryable
            raise kind("the fleet did not answer") from error
        finally:
            self._waiting.pop(asked.number, None)

    async def _connected(self) -> asyncio.StreamWriter:
        async with self._connecting:
            if self._writer is None:
                reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=LINE_BYTES_MAX)
                self._reading = asyncio.create_task(self._read(reader, self._writer))
            return self._writer

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        decoder = msgspec.json.Decoder(Answer)
        try:
            with suppress(ConnectionError):
                while line := await reader.readline():
                    said = decoder.decode(line)
                    waiting = self._waiting.get(said.number)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(said)
        finally:
            self._writer = None
            writer.close()
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(ConnectionError("the connection broke"))
