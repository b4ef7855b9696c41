"""The fleet of the chaos test: one world for all workers, behind a socket, that writes down who came when.

It lives in the test's own process, which no fault befalls. The servers are the simulated driver's; what is added is
that several processes meet the same ones, that an order takes its time, and that some answers are lost.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

import msgspec

from chaos.letters import Answer, Question, Refusal, refusal
from fleetcron.domain.fleet import Power
from fleetcron.domain.task import TaskType
from fleetcron.drivers.journal import ACCEPTED, answer
from fleetcron.drivers.simulated import SimulatedConfig, SimulatedDriver
from fleetcron.errors import DriverError

START_SECONDS_MAX = 10.0
LINE_BYTES_MAX = 2**22
ORDER_SECONDS = 0.1
LOST_ANSWERS = 0.02


class Touch(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that the process ``worker`` did to one server at ``at``, seconds since 1970.

    ``answer`` is ``accepted`` or the error's name. An order has its subtask, as ``execution_id/ordinal``, its request
    id, and whether it comes to nothing though it was accepted; a look has what was seen.
    """

    at: float
    worker: int
    verb: str
    handle: str
    answer: str = ACCEPTED
    subtask: str | None = None
    request_id: str | None = None
    task_type: TaskType | None = None
    fails: bool = False
    power: Power | None = None


class Fleet:
    """The servers of each endpoint, and the journal of everything that was done to them."""

    def __init__(self, configs: Mapping[str, SimulatedConfig], *, seed: int) -> None:
        self.journal: list[Touch] = []
        self.port = 0
        self._drivers = {
            name: SimulatedDriver(config, journal=None, clock=lambda: datetime.now(UTC))
            for name, config in configs.items()
        }
        self._rng = random.Random(seed)  # noqa: S311  (faults are drawn to be repeated)
        self._answering: set[asyncio.Task[None]] = set()

    async def run(self, ready: threading.Event, over: asyncio.Event) -> None:
        """Answer workers until it is over."""
        server = await asyncio.start_server(self._meet, "127.0.0.1", 0, limit=LINE_BYTES_MAX)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await over.wait()
        server.close()
        for task in self._answering:
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        decoder = msgspec.json.Decoder(Question)
        meeting = asyncio.current_task()
        assert meeting is not None
        self._answering.add(meeting)
        try:
            while line := await reader.readline():
                task = asyncio.create_task(self._answer(decoder.decode(line), writer))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)
        except ConnectionError:
            # A worker was killed.
            pass
        finally:
            self._answering.discard(meeting)
            writer.close()

    async def _answer(self, question: Question, writer: asyncio.StreamWriter) -> None:
        said = await self._do(question)
        if said is None or writer.is_closing():
            return
        writer.write(msgspec.json.encode(said) + b"\n")

    async def _do(self, question: Question) -> Answer | None:
        driver = self._drivers[question.endpoint]
        if question.verb == "observe":
            return await self._look(driver, question)
        if question.verb == "poll":
            return await self._poll(driver, question)
        if question.verb == "notify":
            self._write(question, question.keys[0])
            return Answer(number=question.number)
        # Whoever is cut off while this takes its time cannot know whether the server was told.
        await asyncio.sleep(ORDER_SECONDS / 2)
        said = await self._order(driver, question)
        await asyncio.sleep(ORDER_SECONDS / 2)
        return None if self._rng.random() < LOST_ANSWERS else said

    async def _look(self, driver: SimulatedDriver, question: Question) -> Answer:
        told = await driver.observe(question.keys)
        for handle, one in told.items():
            if isinstance(one, DriverError):
                self._write(question, handle, one)
            else:
                self._write(question, handle, power=one.power)
        return Answer(
            number=question.number,
            seen={handle: one for handle, one in told.items() if not isinstance(one, DriverError)},
            refused=_refused(told),
        )

    async def _poll(self, driver: SimulatedDriver, question: Question) -> Answer:
        told = await driver.poll(question.keys)
        for ticket in question.keys:
            self._write(question, json.loads(ticket)["handle"])
        return Answer(
            number=question.number,
            polls={ticket: one for ticket, one in told.items() if not isinstance(one, DriverError)},
            refused=_refused(told),
        )

    async def _order(self, driver: SimulatedDriver, question: Question) -> Answer:
        """Tell the server and write it down: nothing can come between, for the driver waits for nothing."""
        request = question.request
        assert request is not None
        error: DriverError | None = None
        ticket: str | None = None
        try:
            ticket = await driver.submit(request)
        except DriverError as refused:
            error = refused
        self._write(
            question,
            request.handle,
            error,
            subtask="/".join(request.request_id.split("/")[:2]),
            request_id=request.request_id,
            task_type=request.task_type,
            fails=ticket is not None and json.loads(ticket)["operation"]["fails"],
        )
        refused_ = {} if error is None else {request.handle: refusal(error)}
        return Answer(number=question.number, ticket=ticket, refused=refused_)

    def _write(self, question: Question, handle: str, error: DriverError | None = None, **more: object) -> None:
        touch = Touch(at=time.time(), worker=question.worker, verb=question.verb, handle=handle, answer=answer(error))
        self.journal.append(msgspec.structs.replace(touch, **more))


@contextmanager
def fleet(configs: Mapping[str, SimulatedConfig], *, seed: int) -> Iterator[Fleet]:
    """Let a fleet answer at its ``port`` while the block lasts."""
    made = Fleet(configs, seed=seed)
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    over = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(made.run(ready, over)), name="fleet")
    thread.start()
    try:
        assert ready.wait(START_SECONDS_MAX)
        yield made
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


def _refused(told: Mapping[str, object]) -> dict[str, Refusal]:
    return {key: refusal(one) for key, one in told.items() if isinstance(one, DriverError)}
