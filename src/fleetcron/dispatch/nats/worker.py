"""The worker's end of the line over NATS: takes a site's commands, says what happens, and keeps what it holds."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final, NamedTuple, Self

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error, NoRespondersError

from fleetcron.dispatch.contract import Command, Event, TakenUp, Verdict
from fleetcron.dispatch.nats import jetstream
from fleetcron.dispatch.nats.config import NatsConfig, inbox_prefix, is_token
from fleetcron.dispatch.nats.held import ANOTHERS, Delivery, Holdings
from fleetcron.dispatch.nats.jetstream import NAK, PROGRESS, TERM, Puller, Refused, deliveries
from fleetcron.dispatch.nats.letters import Unreadable, read_command
from fleetcron.dispatch.nats.link import Link, together
from fleetcron.dispatch.nats.reporter import Report, Reporter
from fleetcron.errors import BadSettings, Unavailable

log = logging.getLogger(__name__)

COMMANDS_PER_PULL_MAX: Final = 200
FAILED_BEATS_MAX: Final = 2
# A command may have been on its way to us for this long: it counts against the time for which we can be sure of it.
WAITS_PER_ACK_WAIT: Final = 4
AGAIN_SECONDS: Final = 0.5


class Taker(NamedTuple):
    """A ``take`` that waits for commands, and the worker's loop where it does."""

    loop: asyncio.AbstractEventLoop
    commands: asyncio.Future[list[Command]]
    count_max: int


class NatsWorkerLine:
    """A worker's end. Many workers share a site: each command goes to one, and to another if that one falls silent.

    ``worker`` is a name that no other worker of the site bears. ``elapsed`` gives seconds, counted on while the
    process is frozen and while the machine sleeps. Calls come from one event loop; beats do not depend on it.
    Nothing happens before ``start``; ``close`` gives what is still held to other workers at once.

    Raises:
        BadSettings: what the settings name cannot be used, or ``site`` or ``worker`` is no name.
    """

    def __init__(self, config: NatsConfig, *, site: str, worker: str, elapsed: Callable[[], float]) -> None:
        for where, name in (("site", site), ("worker", worker)):
            if not is_token(name):
                raise BadSettings(where, f"{name!r} must be 1 to 32 letters, digits, _ and -")
        self._config = config
        self._site = site
        self._worker = worker
        self._elapsed = elapsed
        self._source = ""
        self._is_closing = False
        self._at_work = False
        self._takers: deque[Taker] = deque()
        self._wanted = asyncio.Event()
        self._holdings = Holdings(ack_wait_seconds=config.ack_wait_seconds, elapsed=elapsed)
        self._link = Link(config, name=f"worker {site}/{worker}", inbox=inbox_prefix(site), session=self._session)
        self._reporter = Reporter(
            self._link,
            self._holdings,
            subject=config.subjects.event(site, worker),
            ack_wait_seconds=config.ack_wait_seconds,
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def connected(self) -> bool:
        """Whether NATS can be reached now, and JetStream lets us ask for commands."""
        return self._at_work and self._link.connected

    def start(self) -> None:
        """Begin to connect, and do not wait for it."""
        self._link.start()

    def close(self) -> None:
        """Give up what is held, for other workers to take up at once, and end."""
        self._is_closing = True
        self._link.close()

    async def take(self, count_max: int) -> list[Command]:
        """Wait for commands; at least one."""
        loop = asyncio.get_running_loop()
        taker = Taker(loop, loop.create_future(), min(count_max, COMMANDS_PER_PULL_MAX))
        self._link.call(self._want, taker)
        try:
            return await taker.commands
        except asyncio.CancelledError:
            if taker.commands.done() and not taker.commands.cancelled():
                self._link.call(self._hand_back, taker.commands.result())
            raise

    async def take_up(self, command: Command, attempt: str) -> Command:
        """Carry the subtask out from now on, whoever had it before; the command as it stands now, not ``again``.

        ``command`` is the very one that ``take`` gave.

        Raises:
            Unavailable: the subtask is over, or the command is no longer ours.
        """
        delivery = self._holdings.find(command.reference)
        if delivery is None or not delivery.is_of(command):
            raise Unavailable(ANOTHERS)
        delivery.attempt = attempt
        verdict = await self._tell(
            delivery, TakenUp(execution_id=command.execution_id, ordinal=command.ordinal, attempt=attempt)
        )
        if verdict.left is None:
            self._link.call(self._hand_back, [command])
            raise Unavailable("the engine did not say what was left")
        delivery.left = msgspec.structs.replace(verdict.left, again=False)
        return delivery.left

    async def report(self, event: Event) -> None:
        """Tell the engine, again and again if need be, and return when it is committed.

        Raises:
            Unavailable: the subtask is over or another attempt's, or the command may have been given to another worker.
        """
        delivery = self._holdings.find((event.execution_id, event.ordinal))
        if delivery is None:
            raise Unavailable(ANOTHERS)
        if delivery.attempt is None:
            delivery.attempt = event.attempt
        elif delivery.attempt != event.attempt:
            raise Unavailable("the command was given to us again, for another attempt")
        await self._tell(delivery, event)

    def is_ours(self, command: Command) -> bool:
        """Whether nobody else can have been given this command, the very one that ``take`` or ``take_up`` gave."""
        delivery = self._holdings.find(command.reference)
        return delivery is not None and delivery.is_of(command)

    async def hand_back(self, command: Command) -> None:
        """Give up a command that is not over, for another worker to take up at once."""
        self._link.call(self._hand_back, [command])

    async def _tell(self, delivery: Delivery, event: Event) -> Verdict:
        report = Report(event, delivery)
        self._reporter.add(report)
        try:
            return await report.answer
        except asyncio.CancelledError:
            self._reporter.give_up(report)
            raise

    def _want(self, taker: Taker) -> None:
        self._takers.append(taker)
        self._wanted.set()

    def _hand_back(self, commands: Iterable[Command]) -> None:
        held = [(self._holdings.find(command.reference), command) for command in commands]
        ours = [delivery for delivery, command in held if delivery is not None and delivery.is_of(command)]
        self._link.spawn(self._give_back(ours))

    async def _give_back(self, given_back: Iterable[Delivery]) -> None:
        for delivery in given_back:
            self._holdings.drop(delivery, "the command was handed back")
            with suppress(Error, Unavailable):
                await self._link.client.publish(delivery.reply, NAK)

    async def _session(self, client: Client) -> None:
        self._source = await self._find_source(client)
        await client.subscribe(self._config.subjects.verdict(self._site, self._worker), cb=self._reporter.hear)
        self._reporter.stir()
        self._at_work = True
        try:
            await together(self._pull_commands(client), self._beat(client))
        finally:
            self._at_work = False
            if self._is_closing and client.is_connected:
                await self._give_back(self._holdings.all())

    async def _find_source(self, client: Client) -> str:
        """When our consumer was made. One that was made anew knows nothing of what its predecessor handed out."""
        try:
            answer = await jetstream.ask(client, f"CONSUMER.INFO.{self._config.subjects.commands}.{self._site}")
        except Refused as refused:
            if refused.code in (jetstream.CONSUMER_MISSING, jetstream.STREAM_MISSING):
                return ""
            raise
        return str(answer["created"])

    async def _beat(self, client: Client) -> None:
        """Keep what we hold from being given to others, and find out whether that was heard where it matters.

        A server that answers is not enough: another one may lead the consumer. It says so itself, and as it takes one
        word after the other, its answer to the last one proves them all.
        """
        seconds, failures = self._config.beat_seconds, 0
        while True:
            asked_at = self._elapsed()
            try:
                await self._prove(client, asked_at, seconds)
            except (Error, Unavailable):
                # Another connection costs time that we may not have: the same one is tried once more.
                failures += 1
                if failures >= FAILED_BEATS_MAX:
                    raise
            else:
                failures = 0
            await asyncio.sleep(max(0.0, asked_at + seconds - self._elapsed()))

    async def _prove(self, client: Client, asked_at: float, timeout_seconds: float) -> None:
        held = self._holdings.all()
        for delivery in held:
            await client.publish(delivery.reply, PROGRESS)
        with suppress(NoRespondersError):
            if held:
                await client.request(held[-1].reply, PROGRESS, timeout=timeout_seconds)
            source = await self._find_source(client)
            self._holdings.prove(held, source=source, asked_at=asked_at)
            self._source = source or self._source

    async def _pull_commands(self, client: Client) -> None:
        puller = Puller(client, self._config.subjects.commands, self._site)
        told = ""
        while True:
            while not self._takers:
                self._wanted.clear()
                await self._wanted.wait()
            if self._takers[0].commands.done():
                self._takers.popleft()
                continue
            try:
                await self._pull_for(client, puller, self._takers[0])
                told = ""
            except Unavailable as error:
                # A site of which no engine has heard yet has no consumer, and that may take its time.
                if error.reason != told:
                    log.info("site %s: %s; waiting", self._site, error.reason)
                told = error.reason
                self._source = ""
                await asyncio.sleep(AGAIN_SECONDS)

    async def _pull_for(self, client: Client, puller: Puller, taker: Taker) -> None:
        if not self._source:
            self._source = await self._find_source(client)
        asked_at = self._elapsed()
        messages = await puller.pull(taker.count_max)
        if not messages:
            asked_at = self._elapsed()
            messages = await puller.wait(self._config.ack_wait_seconds / WAITS_PER_ACK_WAIT)
        commands = [one for message in messages if (one := await self._receive(client, message, asked_at)) is not None]
        if commands:
            self._takers.popleft()
            with suppress(RuntimeError):
                taker.loop.call_soon_threadsafe(self._give, taker, commands)

    async def _receive(self, client: Client, message: Msg, asked_at: float) -> Command | None:
        try:
            command = read_command(message.data)
        except Unreadable as why:
            log.error("%s: an unreadable command is dropped: %s", message.subject, why)  # noqa: TRY400  (its text says it all)
            await client.publish(message.reply, TERM)
            return None
        if deliveries(message) > 1:
            command = msgspec.structs.replace(command, again=True)
        self._holdings.add(command, reply=message.reply, source=self._source, asked_at=asked_at)
        return command

    def _give(self, taker: Taker, commands: list[Command]) -> None:
        """In the worker's loop: give what was pulled, or hand it back if nobody waits for it any more."""
        if taker.commands.done():
            self._link.call(self._hand_back, commands)
        else:
            taker.commands.set_result(commands)
