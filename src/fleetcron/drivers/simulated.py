"""A fleet that behaves like servers and is none: for trying out, for tests, and for measuring everything else.

Each handle that is asked for is a server. What befalls it is drawn from the seed, the handle and the
number of the request, so the same questions get the same answers in every run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from fleetcron.domain.execution import Evidence
from fleetcron.domain.fleet import Power
from fleetcron.domain.task import TaskType
from fleetcron.drivers.contract import Capabilities, Observation, Poll, Progress, Request
from fleetcron.drivers.journal import ACCEPTED, Fact, Journal, answer, observed, submitted
from fleetcron.drivers.machine import Fate, Machine, Operation, draw
from fleetcron.errors import Busy, DriverError, Permanent, Retryable

USERS_DRAWN_MAX = 5

Probability = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0)]


class SimulatedConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the servers of one simulated endpoint behave; docs/drivers.md says it key by key.

    Durations are (least, most) and are drawn evenly between the two.
    """

    seed: int = 0
    initial_power: Literal["ON", "OFF"] = "ON"
    boot_seconds: tuple[Seconds, Seconds] = (2.0, 5.0)
    stop_seconds: tuple[Seconds, Seconds] = (1.0, 3.0)
    reinstall_seconds: tuple[Seconds, Seconds] = (5.0, 10.0)
    submit_latency_seconds: Seconds = 0.0
    failure_probability: Probability = 0.0
    hang_probability: Probability = 0.0
    refuse_probability: Probability = 0.0
    unreachable_probability: Probability = 0.0
    users: dict[str, Annotated[int, Meta(ge=0)]] = {}
    users_probability: Probability = 0.0
    journal_observations: bool = False
    volatile: bool = False

    def __post_init__(self) -> None:
        for name in ("boot_seconds", "stop_seconds", "reinstall_seconds"):
            least, most = getattr(self, name)
            if least > most:
                raise ValueError(f"{name} must name the shorter duration first")
        if self.volatile and self.journal_observations:
            raise ValueError("journal_observations has no journal to go to when volatile is true")


class SimulatedDriver:
    """Operates the simulated servers of one endpoint; see ``Driver`` for what a caller may rely on.

    With ``journal`` the world survives the process, and several may share it; without, it lives as long as this object.
    A boot marker is visible while a server is off, too: it is the last boot's.
    """

    def __init__(self, config: SimulatedConfig, *, journal: Path | None, clock: Callable[[], datetime]) -> None:
        self._config = config
        self._clock = clock
        self._machines: dict[str, Machine] = {}
        self._journal = None if journal is None else Journal(journal)
        self._catch_up()

    @property
    def capabilities(self) -> Capabilities:
        """Everything that a driver can do."""
        return Capabilities(task_types=frozenset(TaskType), counts_users=True, marks_boots=True, notifies=True)

    async def observe(self, handles: Sequence[str]) -> Mapping[str, Observation | DriverError]:
        """Look at many servers at once."""
        self._catch_up()
        now = self._now()
        seen = {handle: self._look(handle, now) for handle in handles}
        if self._config.journal_observations:
            self._record([observed(handle, seen[handle], now) for handle in seen])
        return seen

    async def submit(self, request: Request) -> str:
        """Tell the server, in the middle of the latency: who is cut off before the end cannot know whether it was told.

        Raises:
            Retryable: the server is out of reach for the moment.
            Busy: an operation is under way, and the request is not forced.
            Permanent: the server refuses, or is to be reinstalled and is not off.
        """
        latency_seconds = self._config.submit_latency_seconds
        if latency_seconds:
            await asyncio.sleep(latency_seconds / 2)
        ticket = self._tell(request)
        if latency_seconds:
            await asyncio.sleep(latency_seconds / 2)
        return ticket

    async def poll(self, tickets: Sequence[str]) -> Mapping[str, Poll | DriverError]:
        """Say how far many tickets have come; always the same once an operation has ended."""
        self._catch_up()
        now = self._now()
        return {ticket: self._progress(ticket, now) for ticket in tickets}

    async def notify(self, handle: str, text: str) -> None:
        """Tell the people who use a server.

        Raises:
            Retryable: the server is out of reach for the moment.
        """
        now = self._now()
        error = self._unreachable(handle, "notify", now)
        self._record([Fact(at=now, verb="notify", handle=handle, answer=answer(error), text=text)])
        if error is not None:
            raise error

    async def aclose(self) -> None:
        """Let go of the journal; the servers live on in it. May be called again."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _look(self, handle: str, now: float) -> Observation | DriverError:
        error = self._unreachable(handle, "observe", now)
        if error is not None:
            return error
        machine = self._machine(handle)
        machine.settle(now)
        if machine.operation is not None:
            return Observation(power=Power.TRANSITION, busy=True, boot_marker=self._marker(handle, machine), users=0)
        if machine.resting is None:
            marker = self._marker(handle, machine)
            machine.resting = Observation(power=machine.power, boot_marker=marker, users=machine.users)
        return machine.resting

    def _tell(self, request: Request) -> str:
        self._catch_up()
        now = self._now()
        machine = self._machine(request.handle)
        machine.settle(now)
        fate = self._fate(request.handle, machine.ordinal + 1)
        error = self._objection(request, machine, fate, now)
        if error is not None:
            self._record([submitted(request, now, machine.ordinal + isinstance(error, Permanent), error)])
            raise error
        operation = self._operation(request, machine, fate, now)
        self._record([submitted(request, now, operation.ordinal, None, operation)])
        return _TICKETS.encode(_Ticket(handle=request.handle, operation=operation)).decode()

    def _objection(self, request: Request, machine: Machine, fate: Fate, now: float) -> DriverError | None:
        error = self._unreachable(request.handle, "submit", now)
        if error is not None:
            return error
        if machine.operation is not None and not request.forced:
            return Busy(f"{request.handle} is in the middle of {machine.operation.task_type}")
        is_off = machine.operation is None and machine.power is Power.OFF
        if request.task_type is TaskType.REINSTALL_OS and not is_off:
            return Permanent(f"{request.handle} must be off to be reinstalled")
        if fate.refuse < self._config.refuse_probability:
            return Permanent(f"{request.handle} refuses {request.task_type}")
        return None

    def _operation(self, request: Request, machine: Machine, fate: Fate, now: float) -> Operation:
        ordinal, task_type = machine.ordinal + 1, request.task_type
        if machine.is_idle_request(task_type):
            return Operation(ordinal=ordinal, task_type=task_type, ends_at=now, fails=False)
        # The hard form cuts the power: there is nothing in the server that could hang on it.
        hangs = not request.forced and fate.hang < self._config.hang_probability
        return Operation(
            ordinal=ordinal,
            task_type=task_type,
            ends_at=None if hangs else now + self._duration_seconds(request, machine.power, fate.duration),
            fails=fate.fail < self._config.failure_probability,
        )

    def _duration_seconds(self, request: Request, power: Power, share: float) -> float:
        config, task_type = self._config, request.task_type
        parts: list[tuple[float, float]] = []
        if task_type is TaskType.REINSTALL_OS:
            parts.append(config.reinstall_seconds)
        elif task_type is not TaskType.START_SERVER and power is Power.ON and not request.forced:
            parts.append(config.stop_seconds)
        if task_type is not TaskType.STOP_SERVER:
            parts.append(config.boot_seconds)
        return sum(least + (most - least) * share for least, most in parts)

    def _progress(self, ticket: str, now: float) -> Poll | DriverError:
        try:
            asked = _READ_TICKET.decode(ticket)
        except msgspec.DecodeError:
            return Permanent("the ticket is not one of a simulated server")
        operation = asked.operation
        if operation.ordinal in self._machine(asked.handle).cut:
            return Poll(progress=Progress.FAILED, reason="a forced operation took its place")
        if not operation.is_over(now):
            return Poll(progress=Progress.PENDING)
        if operation.fails:
            return Poll(progress=Progress.FAILED, reason=f"{asked.handle} failed {operation.task_type}")
        return Poll(progress=Progress.DONE, evidence=_EVIDENCE[operation.task_type])

    def _machine(self, handle: str) -> Machine:
        machine = self._machines.get(handle)
        if machine is None:
            power = Power(self._config.initial_power)
            machine = Machine(power=power, users=self._users(handle) if power is Power.ON else 0)
            self._machines[handle] = machine
        return machine

    def _users(self, handle: str) -> int:
        if handle in self._config.users:
            return self._config.users[handle]
        if not self._config.users_probability:
            return 0
        fate = self._fate(handle, 0)
        return 1 + int(fate.duration * USERS_DRAWN_MAX) if fate.refuse < self._config.users_probability else 0

    def _unreachable(self, handle: str, verb: str, now: float) -> Retryable | None:
        # Drawn anew every second, so that trying again later may work, and needs no memory of earlier tries.
        probability = self._config.unreachable_probability
        if not probability or draw(f"{self._config.seed}/{handle}/{verb}/{int(now)}").refuse >= probability:
            return None
        return Retryable(f"{handle} does not answer")

    def _fate(self, handle: str, ordinal: int) -> Fate:
        return draw(f"{self._config.seed}/{handle}/{ordinal}")

    def _marker(self, handle: str, machine: Machine) -> str:
        name = f"{self._config.seed}/{handle}/boot/{machine.boots}"
        return blake2b(name.encode(), digest_size=16).hexdigest()

    def _now(self) -> float:
        return self._clock().timestamp()

    def _record(self, facts: Sequence[Fact]) -> None:
        # The world is what the journal says: our own facts take effect on the same path as a replay's.
        if self._journal is None:
            self._apply(facts)
        else:
            self._journal.append(facts)
            self._catch_up()

    def _catch_up(self) -> None:
        if self._journal is not None:
            self._apply(self._journal.read_on())

    def _apply(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            if fact.verb != "submit" or fact.task_type is None:
                continue
            machine = self._machine(fact.handle)
            machine.settle(fact.at)
            if fact.answer != ACCEPTED:
                machine.ordinal = max(machine.ordinal, fact.ordinal)
                continue
            machine.accept(
                Operation(ordinal=fact.ordinal, task_type=fact.task_type, ends_at=fact.ends_at, fails=fact.fails)
            )


class _Ticket(msgspec.Struct, frozen=True, kw_only=True):
    handle: str
    operation: Operation


_TICKETS = msgspec.json.Encoder()
_READ_TICKET = msgspec.json.Decoder(_Ticket)
_EVIDENCE = {
    TaskType.START_SERVER: Evidence.POWER_SEEN,
    TaskType.STOP_SERVER: Evidence.POWER_SEEN,
    TaskType.RESTART_SERVER: Evidence.BOOT_MARKER_CHANGED,
    TaskType.REINSTALL_OS: Evidence.BOOT_MARKER_CHANGED,
}
