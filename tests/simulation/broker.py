"""A message engine for the simulation: it redelivers what is not acknowledged, and loses, delays and repeats the rest.

Its ways are those that dispatch leans on with the real one: at most one command of a subtask is kept; a delivery that
is not heard of for ACK_WAIT_SECONDS is given to somebody else; who is heard of keeps it, rightly or not; events come
at least once. It can be cut off from anybody, and be wiped.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextvars import Context
from typing import Protocol

import msgspec

from fleetcron.dispatch.contract import Command, Event, Settled, TakenUp, Verdict
from fleetcron.domain.execution import Reference
from fleetcron.errors import Unavailable
from simulation.virtual import Process, VirtualLoop

ACK_WAIT_SECONDS = 6.0
BEAT_SECONDS = 2.0
MARGIN_SECONDS = 1.0
RESEND_SECONDS = 2.5
SENDS_MAX = 4


class Ground(Protocol):
    """What the broker needs of the world."""

    loop: VirtualLoop

    def say(self, who: object, what: str) -> None:
        """Add a line to the trace."""
        ...

    def gate(self, process: Process, where: str) -> None:
        """Let others act here, or die."""
        ...

    def pause(self, process: Process, seconds: float) -> None:
        """Let so much time pass for a synchronous process, or die."""
        ...

    async def step(self, process: Process, where: str) -> None:
        """Go on if the process neither dies nor freezes here."""
        ...

    def idle_seconds(self) -> float:
        """How long nothing is going to happen."""
        ...


class _Message(msgspec.Struct, kw_only=True):
    """A command in the stream, and who has it if anybody."""

    command: Command
    deliveries: int = 0
    holder: WorkerLine | None = None
    heard_at: float = 0.0


class _Report(msgspec.Struct, kw_only=True):
    """An event in the stream, and who was told the answer to it."""

    number: int
    event: Event
    sender: WorkerLine
    given_at: float | None = None


class Broker:
    """Both streams, in the middle of the line."""

    def __init__(self, ground: Ground, rng: random.Random) -> None:
        self.ground = ground
        self.rng = rng
        self.lossy = False
        self.cut: set[str] = set()
        self.engines: list[EngineLine] = []
        self._commands: dict[Reference, _Message] = {}
        self._reports: deque[_Report] = deque()
        self._takers: list[tuple[WorkerLine, int, asyncio.Future[list[_Message]]]] = []
        self._numbers = 0

    # The way here and back

    def send(self, process: Process, what: Callable[..., object], *arguments: object) -> None:
        """Carry something between a process and the streams, if all goes well once, and sooner or later."""
        rng = self.rng
        seconds, drawn = rng.uniform(0.001, 0.05), rng.random()
        if process.name in self.cut or "*" in self.cut:
            return
        if self.lossy:
            if drawn < 0.08:
                return
            if drawn < 0.16:
                seconds = rng.uniform(0.1, 4.0)
            if drawn > 0.94:
                self.later(rng.uniform(0.01, 5.0), what, *arguments)
        self.later(seconds, what, *arguments)

    def later(self, seconds: float, what: Callable[..., object], *arguments: object) -> None:
        """Let something happen whoever is dead by then."""
        self.ground.loop.call_later(seconds, what, *arguments, context=Context())

    # Commands

    def put(self, command: Command) -> None:
        """Keep a command, unless there is one of its subtask."""
        if command.reference not in self._commands:
            self._commands[command.reference] = _Message(command=command)
            self._give()

    def remove(self, reference: Reference) -> None:
        """The command is done with."""
        self._commands.pop(reference, None)

    def release(self, line: WorkerLine, reference: Reference) -> None:
        """Its holder gives it back."""
        message = self._commands.get(reference)
        if message is not None and message.holder is line:
            message.holder = None
            self._give()

    def hear(self, references: Iterable[Reference]) -> None:
        """Somebody says that it has these; who that is, is not asked."""
        for reference in references:
            message = self._commands.get(reference)
            if message is not None and message.holder is not None:
                message.heard_at = self.ground.loop.time()

    def want(self, line: WorkerLine, count_max: int, taken: asyncio.Future[list[_Message]]) -> None:
        """A worker waits for commands."""
        self._takers = [taker for taker in self._takers if taker[0] is not line]
        self._takers.append((line, count_max, taken))
        self._give()

    def holds(self, reference: Reference) -> bool:
        """Whether the command is here."""
        return reference in self._commands

    def holder(self, reference: Reference) -> WorkerLine | None:
        """Who has the command."""
        message = self._commands.get(reference)
        return None if message is None else message.holder

    def wipe(self) -> None:
        """Lose everything."""
        self._commands.clear()
        self._reports.clear()

    def _give(self) -> None:
        free = [message for message in self._commands.values() if message.holder is None]
        while free and self._takers:
            line, count_max, taken = self._takers.pop(self.rng.randrange(len(self._takers)))
            if taken.done() or (line.process.dead and self.rng.random() < 0.5):
                continue
            count = min(count_max, self.rng.randint(1, 4))
            given, free = free[:count], free[count:]
            for message in given:
                message.holder, message.heard_at = line, self.ground.loop.time()
                message.deliveries += 1
                self._watch(message)
            self.send(line.process, line.receive, taken, [(one.command, one.deliveries, one.heard_at) for one in given])

    def _watch(self, message: _Message) -> None:
        """Give it to somebody else when nothing is heard of it."""
        due_at = message.heard_at + ACK_WAIT_SECONDS
        self.later(due_at - self.ground.loop.time(), self._look_after, message, message.deliveries)

    def _look_after(self, message: _Message, deliveries: int) -> None:
        reference = message.command.reference
        if self._commands.get(reference) is not message or message.deliveries != deliveries or message.holder is None:
            return
        if message.heard_at + ACK_WAIT_SECONDS > self.ground.loop.time():
            self._watch(message)
            return
        self.ground.say("broker", f"nothing was heard of {reference} from {message.holder.process}")
        message.holder = None
        self._give()

    # Events

    def report(self, sender: WorkerLine, number: int, event: Event) -> None:
        """Keep an event until an engine has answered it."""
        self._reports.append(_Report(number=number, event=event, sender=sender))
        for engine in self.engines:
            engine.wake()

    def pull(self, count_max: int) -> list[_Report]:
        """The oldest events that no engine has now."""
        now = self.ground.loop.time()
        free = [one for one in self._reports if one.given_at is None or one.given_at + ACK_WAIT_SECONDS <= now]
        for one in free[:count_max]:
            one.given_at = now
        return free[:count_max]

    def answered(self, report: _Report) -> None:
        """An event is done with."""
        if report in self._reports:
            self._reports.remove(report)

    def is_at_rest(self) -> bool:
        """Whether nothing is under way."""
        return not self._reports and not self._commands


class EngineLine:
    """An engine's end."""

    def __init__(self, broker: Broker, process: Process) -> None:
        self.process = process
        self._broker = broker
        self._given: dict[int, tuple[Event, _Report]] = {}
        self._waiting = False
        broker.engines.append(self)

    def publish(self, commands: Iterable[Command]) -> None:
        """Hand out commands; one that is handed out already is passed over."""
        for command in commands:
            self._broker.ground.gate(self.process, "publish")
            self._broker.send(self.process, self._broker.put, command)

    def lost(self, references: Sequence[Reference]) -> list[Reference]:
        """Those of these whose command is not in the stream."""
        self._reach("lost")
        return [reference for reference in references if not self._broker.holds(reference)]

    def withdraw(self, references: Iterable[Reference]) -> None:
        """Take back commands whose subtasks are over."""
        for reference in references:
            self._broker.ground.gate(self.process, "withdraw")
            self._broker.send(self.process, self._broker.remove, reference)

    def take_events(self, count_max: int) -> list[Event]:
        """The oldest events not yet taken."""
        if self.process.name in self._broker.cut or "*" in self._broker.cut:
            return []
        taken = self._broker.pull(min(count_max, self._broker.rng.randint(1, 8)))
        # A copy, as it would come off a wire: two deliveries of one event are two objects.
        fresh = [(msgspec.structs.replace(one.event), one) for one in taken]
        self._given.update((id(event), (event, one)) for event, one in fresh)
        return [event for event, _ in fresh]

    def speaks_for(self, event: Event, endpoint: str) -> bool:
        """Always: there is one site."""
        return True

    def answer(self, verdicts: Sequence[tuple[Event, Verdict]]) -> None:
        """Say what became of events."""
        for event, verdict in verdicts:
            self._broker.ground.gate(self.process, "answer")
            _, report = self._given.pop(id(event))
            self._broker.send(self.process, report.sender.hear, report.number, verdict)
            self._broker.send(self.process, self._broker.answered, report)

    def wait(self, timeout_seconds: float) -> None:
        """Sleep until there are events, somebody calls ``wake``, or the time is over."""
        self._waiting = True
        self._broker.ground.pause(self.process, timeout_seconds)
        self._waiting = False

    def wake(self) -> None:
        """End a ``wait`` now."""
        if self._waiting and self.process.strand is not None:
            self.process.strand.wake()

    def _reach(self, where: str) -> None:
        self._broker.ground.gate(self.process, where)
        if self.process.name in self._broker.cut or "*" in self._broker.cut:
            raise Unavailable("the message engine does not answer")


class _Hold:
    """A delivery that we have: ours for sure at ``sure_at``."""

    def __init__(self, command: Command, sure_at: float) -> None:
        self.command = command
        self.left: Command | None = None
        self.sure_at = sure_at

    def is_of(self, command: Command) -> bool:
        """Whether this very object was given for this delivery."""
        return command is self.command or command is self.left


class WorkerLine:
    """A worker's end."""

    def __init__(self, broker: Broker, process: Process) -> None:
        self.process = process
        self._broker = broker
        self._loop = broker.ground.loop
        self._held: dict[Reference, _Hold] = {}
        self._answers: dict[int, asyncio.Future[Verdict]] = {}
        self._numbers = 0
        self._beating: asyncio.Task[None] | None = None

    async def take(self, count_max: int) -> list[Command]:
        """Wait for commands; at least one."""
        while True:
            await self._broker.ground.step(self.process, "take")
            taken: asyncio.Future[list[tuple[Command, int, float]]] = self._loop.create_future()
            self._broker.send(self.process, self._broker.want, self, count_max, taken)
            try:
                async with asyncio.timeout(self._broker.ground.idle_seconds() + 5):
                    commands = self._keep(await taken)
            except TimeoutError:
                continue
            if commands:
                return commands

    def receive(
        self, taken: asyncio.Future[list[tuple[Command, int, float]]], given: list[tuple[Command, int, float]]
    ) -> None:
        """Commands have come down the line, whether or not somebody is awake to take them."""
        if not taken.done():
            taken.set_result(given)
        elif taken.cancelled() and not self.process.dead:
            # Nobody waits for these any more. What only comes a second time was taken, and stays.
            for command, _, _ in given:
                self._broker.release(self, command.reference)

    async def take_up(self, command: Command, attempt: str) -> Command:
        """Carry the subtask out from now on, whoever had it before."""
        verdict = await self._ask(
            command.reference, TakenUp(execution_id=command.execution_id, ordinal=command.ordinal, attempt=attempt)
        )
        if verdict.left is None:
            raise Unavailable("the engine did not say what was left")
        hold = self._held.get(command.reference)
        if hold is not None and hold.command is command:
            hold.left = verdict.left
        return verdict.left

    async def report(self, event: Event) -> None:
        """Tell the engine, and return when it is committed."""
        await self._ask((event.execution_id, event.ordinal), event)

    def is_ours(self, command: Command) -> bool:
        """Whether nobody else can have been given this command meanwhile."""
        hold = self._held.get(command.reference)
        # The very object: an equal one may be of an earlier delivery, which somebody else has had since.
        return hold is not None and hold.is_of(command) and self._is_sure(hold)

    async def hand_back(self, command: Command) -> None:
        """Give up a command that is not over."""
        await self._broker.ground.step(self.process, "hand back")
        if self._held.pop(command.reference, None) is not None:
            self._broker.send(self.process, self._broker.release, self, command.reference)

    def has(self, reference: Reference) -> bool:
        """Whether this worker has the command in its hands."""
        return reference in self._held

    def hear(self, number: int, verdict: Verdict) -> None:
        """An answer has come down the line."""
        answer = self._answers.get(number)
        if answer is not None and not answer.done():
            answer.set_result(verdict)

    def _keep(self, given: list[tuple[Command, int, float]]) -> list[Command]:
        commands = []
        for told, deliveries, delivered_at in given:
            command = msgspec.structs.replace(told, again=told.again or deliveries > 1)
            hold = _Hold(command, delivered_at)
            # What has lain before a sleeping worker for too long may be somebody else's by now.
            if self._is_sure(hold):
                self._held[command.reference] = hold
                commands.append(command)
        if self._beating is None or self._beating.done():
            self._beating = asyncio.create_task(self._beat())
        return commands

    async def _ask(self, reference: Reference, event: Event) -> Verdict:
        ground = self._broker.ground
        self._numbers += 1
        number = self._numbers
        answer: asyncio.Future[Verdict] = self._loop.create_future()
        self._answers[number] = answer
        ground.say(self.process, f"reports {type(event).__name__} of {reference} {_brief(event)}")
        try:
            verdict = await self._insist(number, event, answer)
        except BaseException:
            self._held.pop(reference, None)
            raise
        finally:
            del self._answers[number]
            answer.cancel()
        await ground.step(self.process, "answered")
        if verdict.over or verdict.refused is not None:
            self._held.pop(reference, None)
        if verdict.over:
            self._broker.send(self.process, self._broker.remove, reference)
        if verdict.refused is not None:
            raise Unavailable(verdict.refused)
        return verdict

    async def _insist(self, number: int, event: Event, answer: asyncio.Future[Verdict]) -> Verdict:
        """Say it again and again until there is an answer, or no hope for one."""
        for _ in range(SENDS_MAX):
            await self._broker.ground.step(self.process, "report")
            self._broker.send(self.process, self._broker.report, self, number, event)
            try:
                async with asyncio.timeout(RESEND_SECONDS):
                    return await asyncio.shield(answer)
            except TimeoutError:
                continue
        raise Unavailable("the engine does not answer")

    async def _beat(self) -> None:
        """Say what we have as long as we have anything."""
        while self._held:
            await asyncio.sleep(BEAT_SECONDS)
            now = self._loop.time()
            for reference in [key for key, hold in self._held.items() if not self._is_sure(hold)]:
                # Once it may have been somebody else's it is never ours again.
                del self._held[reference]
            held = list(self._held.values())
            self._broker.send(self.process, self._heard, held, now)

    def _heard(self, held: list[_Hold], said_at: float) -> None:
        """The beat has reached the streams: it goes back to say so."""
        self._broker.hear(hold.command.reference for hold in held)
        self._broker.send(self.process, self._sure, held, said_at)

    def _sure(self, held: list[_Hold], said_at: float) -> None:
        for hold in held:
            # Heard too late it proves nothing: in between it may have been somebody else's.
            if self._is_sure(hold):
                hold.sure_at = max(hold.sure_at, said_at)

    def _is_sure(self, hold: _Hold) -> bool:
        return self._loop.time() - hold.sure_at < ACK_WAIT_SECONDS - MARGIN_SECONDS


def _brief(event: Event) -> str:
    if isinstance(event, Settled):
        return str(event.result_code or event.evidence)
    return ""
