"""A line over a real NATS for tests: an engine and as many workers as are asked for, each with threads of its own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from uuid import uuid4

from nats.aio.client import Client
from nats.js.errors import NotFoundError

from builders import NOW
from conversation import events_of
from fleetcron.dispatch.contract import EngineEnd, Settled, Verdict, WorkerEnd
from fleetcron.dispatch.nats.config import NatsConfig
from fleetcron.dispatch.nats.engine import NatsEngineLine
from fleetcron.dispatch.nats.worker import NatsWorkerLine
from fleetcron.domain.execution import Evidence
from fleetcron.errors import Unavailable
from peers.nats import Nats

ACK_WAIT_SECONDS = 2.0
# What is to stay ours does so on a machine that is busy with other tests, too.
PATIENT_SECONDS = 4.0
STORY_SECONDS_MAX = 60.0
OVER = Verdict(over=True)
SITES = {"lab": ("default", "simulated"), "attic": ("north", "simulated")}


_T = TypeVar("_T")


def route(endpoint: str) -> tuple[str, str]:
    """The endpoint lab is at the site default, attic at north."""
    return SITES.get(endpoint, ("default", "unknown"))


def nats_config(nats: Nats, **fields: Any) -> NatsConfig:  # noqa: ANN401  (the fields of NatsConfig)
    """How to reach this NATS, under names that no other test uses."""
    given: dict[str, Any] = {
        "servers": tuple(nats.urls),
        "prefix": f"t{uuid4().hex}"[:16],
        "ack_wait_seconds": ACK_WAIT_SECONDS,
    }
    return NatsConfig(**(given | fields))


def settled(ordinal: int = 1, attempt: str = "a1") -> Settled:
    """The server has done it."""
    return Settled(
        execution_id="e1", ordinal=ordinal, attempt=attempt, ended_at=NOW, evidence=Evidence.BOOT_MARKER_CHANGED
    )


def run(story: Coroutine[Any, Any, _T]) -> _T:
    """See a story through, in bounded time."""
    return asyncio.run(asyncio.wait_for(story, STORY_SECONDS_MAX))


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what comes by itself; what is Unavailable may come yet; the end of the story bounds it."""
    while True:
        try:
            if await asyncio.to_thread(holds):
                return
        except Unavailable:
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.005)


async def told(engine: EngineEnd, saying: Coroutine[Any, Any, _T], verdict: Verdict) -> _T | str:
    """What came of what a worker says, when the engine answers the next event with this verdict."""
    said = asyncio.create_task(answer_of(saying))
    (event,) = await events_of(engine, 1)
    engine.answer([(event, verdict)])
    return await said


async def answer_of(saying: Coroutine[Any, Any, _T]) -> _T | str:
    """What a report came to: its value if it is committed, the reason if it is not."""
    try:
        return await saying
    except Unavailable as error:
        return error.reason


@asynccontextmanager
async def connected(url: str, **options: Any) -> AsyncIterator[Client]:  # noqa: ANN401  (the client's own options)
    """A client of the test's own; what it complains of is told by what it raises."""

    async def ignored(_: Exception) -> None:
        pass

    client = Client()
    try:
        await client.connect(url, allow_reconnect=False, **({"error_cb": ignored} | options))
        yield client
    finally:
        await client.close()


async def take_streams_away(config: NatsConfig) -> None:
    """Leave nothing of this test in the NATS that tests share."""
    who = {} if config.user is None else {"user": config.user, "password": config.password}
    async with connected(config.servers[0], **who) as client:
        for stream in (config.subjects.commands, config.subjects.events):
            try:
                await client.jetstream().delete_stream(stream)
            except NotFoundError:
                continue


class NatsLine:
    """Both ends of a line; it fulfils the conformance suite's ``SharedLine``."""

    def __init__(self, config: NatsConfig, workers: Callable[[str], NatsConfig] | None = None) -> None:
        self._config_of = workers or (lambda _: config)
        self._engine = NatsEngineLine(config, route=route)
        self._workers: list[NatsWorkerLine] = []
        self._frozen: dict[int, threading.Event] = {}

    @property
    def engine(self) -> EngineEnd:
        """The engine's end."""
        return self._engine

    @property
    def is_connected(self) -> bool:
        """Whether the engine is connected."""
        return self._engine.connected

    @property
    def complaint(self) -> str:
        """What keeps the engine from being connected."""
        return "\n".join(self._engine._link._complaints)

    async def worker(self, site: str = "default") -> NatsWorkerLine:
        """A worker more."""
        worker = NatsWorkerLine(
            self._config_of(site), site=site, worker=f"w{len(self._workers)}", elapsed=time.monotonic
        )
        worker.start()
        self._workers.append(worker)
        return worker

    async def crash(self, worker: WorkerEnd) -> None:
        """Break the connection without a word, as when the process is killed."""
        assert isinstance(worker, NatsWorkerLine)
        await asyncio.to_thread(worker._link.close)

    async def freeze(self, worker: WorkerEnd) -> None:
        """Stop what beats and listens, as when the process is stopped."""
        assert isinstance(worker, NatsWorkerLine)
        thawed, frozen = threading.Event(), threading.Event()
        self._frozen[id(worker)] = thawed
        worker._link.call(frozen.set)
        worker._link.call(thawed.wait)
        await asyncio.to_thread(frozen.wait)

    async def thaw(self, worker: WorkerEnd) -> None:
        """Let it go on."""
        self._frozen.pop(id(worker)).set()

    async def stop_engine(self) -> None:
        """Close the engine's end alone."""
        await asyncio.to_thread(self._engine.close)

    def start(self) -> None:
        """Let the engine connect."""
        self._engine.start()

    def close(self) -> None:
        """Close all ends."""
        for thawed in self._frozen.values():
            thawed.set()
        for worker in self._workers:
            worker.close()
        self._engine.close()


@asynccontextmanager
async def nats_line(
    config: NatsConfig, *, shared: bool = True, workers: Callable[[str], NatsConfig] | None = None
) -> AsyncIterator[NatsLine]:
    """Open a line under this configuration, and leave nothing of it in a NATS that tests share.

    ``workers`` tells the configuration of each site's workers, where it is another one.
    """
    line = NatsLine(config, workers)
    line.start()
    try:
        yield line
    finally:
        await asyncio.to_thread(line.close)
        if shared:
            await take_streams_away(config)
