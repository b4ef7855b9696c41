"""The servers of the simulation: what is told to them, what they do with it, and what can be seen of them.

They live in the world, not in a worker: an order on its way arrives though its worker is dead by then. What befalls
an order is drawn when it is sent.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context
from datetime import datetime
from typing import Protocol

import msgspec

from fleetcron.domain.execution import Evidence, Reference
from fleetcron.domain.fleet import Power
from fleetcron.domain.task import TaskType
from fleetcron.drivers.contract import Capabilities, Observation, Poll, Progress, Request
from fleetcron.errors import Busy, DriverError, Indeterminate, Permanent, Retryable
from simulation.journal import Effect, Look, Moment, Order, Recorded, Story
from simulation.virtual import Process, VirtualLoop

FOREVER = None
# An order may be this long on its way and no longer: a worker in doubt waits longer than that.
ARRIVES_WITHIN_SECONDS = 8.0


class Ground(Protocol):
    """What the servers need of the world."""

    loop: VirtualLoop
    story: Story
    engine_clock_max: datetime

    def say(self, who: object, what: str) -> None:
        """Add a line to the trace."""
        ...

    def recorded(self, reference: Reference, endpoint: str, handle: str) -> Recorded:
        """What is committed about this subtask and this server now."""
        ...

    async def step(self, process: Process, where: str) -> None:
        """Go on if the process neither dies nor freezes here."""
        ...


class Operation(msgspec.Struct, kw_only=True):
    """What an accepted order makes a server do."""

    number: int
    task_type: TaskType
    begins_in: float
    takes_seconds: float | None
    fails: bool
    progress: Progress = Progress.PENDING
    reason: str | None = None


class Server:
    """One server: it does one thing at a time, and the hard form of an order cuts what it does."""

    def __init__(self, handle: str, *, power: Power, users: int | None, doomed: bool) -> None:
        self.handle = handle
        self.power = power
        self.boots = 1
        self.users = users
        self.doomed = doomed
        self.operation: Operation | None = None

    def marker(self) -> str:
        return f"{self.handle}-boot-{self.boots}"


class Servers:
    """Every server of one world, and the operations that they were ever given."""

    def __init__(self, ground: Ground, rng: random.Random, *, troubled: bool) -> None:
        self._ground = ground
        self._rng = rng
        self.troubled = troubled
        self.by_handle: dict[str, Server] = {}
        self.operations: list[Operation] = []
        self.unreachable: set[str] = set()

    def add(self, handle: str) -> None:
        """Put up a server, drawn from the seed."""
        rng = self._rng
        server = Server(
            handle,
            power=Power.OFF if rng.random() < 0.25 else Power.ON,
            users=rng.choice((0, 0, 0, 0, 2, None)),
            doomed=self.troubled and rng.random() < 0.06,
        )
        self.by_handle[handle] = server
        self._changed(server)

    def later(self, seconds: float, what: Callable[..., object], *arguments: object) -> None:
        """Let something happen whoever is dead by then."""
        self._ground.loop.call_later(seconds, what, *arguments, context=Context())

    def arrive(self, order: Order, answer: Callable[[str | DriverError], None]) -> None:
        """Take an order, do it or not, and answer."""
        server = self.by_handle[order.handle]
        error = self._objection(order, server)
        operation = None if error is not None else self._take(order, server)
        done = msgspec.structs.replace(
            order,
            at=self._ground.loop.time(),
            engine_clock_max=self._ground.engine_clock_max,
            operation=None if operation is None else operation.number,
            boots_before=server.boots,
            recorded=self._ground.recorded(order.reference, order.endpoint, order.handle),
        )
        self._ground.story.orders.append(done)
        said = f"takes {order.task_type}" if operation is not None else f"refuses {order.task_type}: {error}"
        self._ground.say(order.handle, f"{said} of {order.reference} send {order.sends} by {order.worker}")
        answer(error if error is not None else f"op-{done.operation}")

    def look(self, handle: str) -> Observation:
        """What can be seen of a server now."""
        server = self.by_handle[handle]
        acting = server.operation is not None
        power = Power.TRANSITION if acting else server.power
        users = 0 if acting or server.power is Power.OFF else server.users
        return Observation(power=power, busy=acting, boot_marker=server.marker(), users=users)

    def _objection(self, order: Order, server: Server) -> DriverError | None:
        if server.operation is not None and not order.forced:
            return Busy("in the middle of something else")
        if order.task_type is TaskType.REINSTALL_OS and (server.operation is not None or server.power is not Power.OFF):
            return Permanent("must be off to be reinstalled")
        if self.troubled and self._rng.random() < 0.03:
            return Retryable("try again")
        if self.troubled and self._rng.random() < 0.02:
            return Permanent("will not")
        return None

    def _take(self, order: Order, server: Server) -> Operation:
        rng = self._rng
        takes: float | None = rng.uniform(1, 6)
        if self.troubled and rng.random() < 0.08:
            takes = rng.uniform(20, 200)
        if server.doomed and rng.random() < 0.5:
            takes = FOREVER
        begins_in = rng.uniform(0, 3) if order.endpoint.endswith("slow") else 0.0
        operation = Operation(
            number=len(self.operations),
            task_type=order.task_type,
            begins_in=begins_in,
            takes_seconds=takes,
            fails=self.troubled and rng.random() < 0.04,
        )
        self.operations.append(operation)
        if begins_in:
            self.later(begins_in, self._begin, server, operation)
        else:
            self._begin(server, operation)
        return operation

    def _begin(self, server: Server, operation: Operation) -> None:
        if server.operation is not None:
            server.operation.progress = Progress.FAILED
            server.operation.reason = "another order took its place"
        idle = {TaskType.START_SERVER: Power.ON, TaskType.STOP_SERVER: Power.OFF}.get(operation.task_type)
        if server.operation is None and idle is server.power:
            self._effect(server, operation)
            return
        server.operation = operation
        self._changed(server)
        if operation.takes_seconds is not None:
            self.later(operation.takes_seconds, self._end, server, operation)

    def _end(self, server: Server, operation: Operation) -> None:
        if server.operation is not operation:
            return
        server.operation = None
        if operation.fails:
            operation.progress, operation.reason = Progress.FAILED, "it went wrong"
            self._changed(server)
        else:
            self._effect(server, operation)

    def _effect(self, server: Server, operation: Operation) -> None:
        operation.progress = Progress.DONE
        wanted = Power.OFF if operation.task_type is TaskType.STOP_SERVER else Power.ON
        boots = operation.task_type in {TaskType.RESTART_SERVER, TaskType.REINSTALL_OS} or (
            wanted is Power.ON and server.power is Power.OFF
        )
        server.power = wanted
        server.boots += boots
        if boots or wanted is Power.OFF:
            server.users = 0
        self._ground.story.effects.append(Effect(at=self._ground.loop.time(), operation=operation.number))
        self._ground.say(server.handle, f"has done {operation.task_type}, op-{operation.number}")
        self._changed(server)

    def _changed(self, server: Server) -> None:
        power = Power.TRANSITION if server.operation is not None else server.power
        moment = Moment(at=self._ground.loop.time(), power=power, boots=server.boots)
        self._ground.story.moments.setdefault(server.handle, []).append(moment)


class SimulationDriver:
    """One worker's way to the servers of one endpoint; see ``Driver`` for what a caller may rely on."""

    def __init__(
        self,
        ground: Ground,
        servers: Servers,
        process: Process,
        rng: random.Random,
        *,
        endpoint: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._ground = ground
        self._servers = servers
        self._process = process
        self._rng = rng
        self._endpoint = endpoint
        self._clock = clock

    @property
    def capabilities(self) -> Capabilities:
        """Everything; the servers of a slow endpoint take their time before they act."""
        slow = self._endpoint.endswith("slow")
        return Capabilities(
            task_types=frozenset(TaskType),
            counts_users=True,
            marks_boots=True,
            notifies=True,
            acts_within_seconds=ARRIVES_WITHIN_SECONDS + (3.0 if slow else 0.0),
        )

    async def observe(self, handles: Sequence[str]) -> Mapping[str, Observation | DriverError]:
        """Look at many servers at once; the answer may be old when it comes."""
        await self._travel("observe")
        asked_at = self._ground.loop.time()
        seen: dict[str, Observation | DriverError] = {}
        for handle in handles:
            if handle in self._servers.unreachable or (self._servers.troubled and self._rng.random() < 0.03):
                seen[handle] = Retryable("does not answer", retry_after_seconds=self._rng.uniform(0.5, 3))
            else:
                seen[handle] = self._servers.look(handle)
        boots = {handle: self._servers.by_handle[handle].boots for handle in handles}
        await self._travel("observed")
        for handle, said in seen.items():
            if isinstance(said, Observation):
                idle = not said.busy and said.power is not Power.TRANSITION
                look = Look(
                    at=asked_at,
                    told_at=self._ground.loop.time(),
                    worker=self._process.name,
                    handle=handle,
                    idle=idle,
                    boots=boots[handle],
                    power=said.power,
                )
                self._ground.story.looks.append(look)
        return seen

    async def submit(self, request: Request) -> str:
        """Send an order on its way, and wait for what comes back, if anything does."""
        answer: asyncio.Future[str] = self._ground.loop.create_future()
        execution_id, ordinal, sends, _ = request.request_id.split("/")
        reference = (execution_id, int(ordinal))
        recorded = self._ground.recorded(reference, self._endpoint, request.handle)
        now = self._ground.loop.time()
        order = Order(
            at=now,
            sent_at=now,
            worker=repr(self._process),
            attempt=None if recorded.subtask is None else recorded.subtask.attempt,
            worker_clock=self._clock(),
            engine_clock_max=self._ground.engine_clock_max,
            reference=reference,
            sends=int(sends),
            task_type=request.task_type,
            endpoint=self._endpoint,
            handle=request.handle,
            forced=request.forced,
            operation=None,
            boots_before=0,
            recorded=recorded,
        )
        self._ground.say(self._process, f"sends {request.task_type} to {request.handle} for {order.reference}")
        self._send(order, answer)
        await self._ground.step(self._process, "submit")
        return await answer

    async def poll(self, tickets: Sequence[str]) -> Mapping[str, Poll | DriverError]:
        """Say how far many tickets have come."""
        await self._travel("poll")
        said: dict[str, Poll | DriverError] = {}
        for ticket in tickets:
            operation = self._servers.operations[int(ticket.removeprefix("op-"))]
            if self._servers.troubled and self._rng.random() < 0.03:
                said[ticket] = Retryable("does not answer")
            elif operation.progress is Progress.DONE:
                said[ticket] = Poll(progress=Progress.DONE, evidence=Evidence.ACCEPTED)
            else:
                said[ticket] = Poll(progress=operation.progress, reason=operation.reason)
        await self._travel("polled")
        return said

    async def notify(self, handle: str, text: str) -> None:
        """Tell the people who use a server."""
        await self._travel("notify")
        if self._servers.troubled and self._rng.random() < 0.05:
            raise Retryable("does not answer")
        self._ground.say(self._process, f"notified the users of {handle}")

    async def aclose(self) -> None:
        """Nothing is held."""

    def _send(self, order: Order, answer: asyncio.Future[str]) -> None:
        rng, troubled = self._rng, self._servers.troubled
        there = self._latency()
        # What was drawn before it is known whether it is needed keeps the seeds' stories alike.
        lost, unheard, hangs = rng.random() < 0.04, rng.random() < 0.08, rng.random() < 0.4
        back = self._latency()

        def give(said: str | DriverError) -> None:
            if answer.done():
                return
            if isinstance(said, DriverError):
                answer.set_exception(said)
                answer.exception()
            else:
                answer.set_result(said)

        def told(said: str | DriverError) -> None:
            if not (troubled and unheard):
                self._servers.later(back, give, said)
            elif not hangs:
                self._servers.later(back, give, Indeterminate("the connection broke before the answer"))

        if troubled and lost:
            self._ground.say(order.handle, "an order is lost on its way to it")
            if not hangs:
                self._servers.later(there, give, Indeterminate("the connection broke"))
        elif order.handle in self._servers.unreachable:
            self._servers.later(there, give, Retryable("does not answer"))
        else:
            self._servers.later(there, self._servers.arrive, order, told)

    def _latency(self) -> float:
        if self._servers.troubled and self._rng.random() < 0.06:
            return self._rng.uniform(0.5, ARRIVES_WITHIN_SECONDS)
        return self._rng.uniform(0.01, 0.3)

    async def _travel(self, where: str) -> None:
        await self._ground.step(self._process, where)
        await asyncio.sleep(self._latency() / 2)
