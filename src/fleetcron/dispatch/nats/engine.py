"""The engine's end of the line over NATS: hands out commands, takes every worker's events and answers them."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Final, Self

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error

from fleetcron.dispatch.contract import Command, Event, Verdict
from fleetcron.dispatch.nats import jetstream
from fleetcron.dispatch.nats.config import RECORDER, NatsConfig, is_token
from fleetcron.dispatch.nats.jetstream import ACK, NAK, PROGRESS, TERM, Puller
from fleetcron.dispatch.nats.letters import Unreadable, read_events, write_verdicts
from fleetcron.dispatch.nats.link import Link, together
from fleetcron.dispatch.nats.publisher import Publisher
from fleetcron.domain.execution import Reference
from fleetcron.errors import Unavailable

log = logging.getLogger(__name__)

BATCHES_PER_PULL_MAX: Final = 32
EVENTS_AHEAD_MAX: Final = 4_000
LOST_SECONDS_MAX: Final = 15.0
EXECUTIONS_ASKED_ONE_BY_ONE_MAX: Final = 8
WAIT_SECONDS: Final = 2.0


@dataclass(eq=False)
class Batch:
    """A worker's batch of events, until all of them are answered."""

    name: str
    message: Msg
    events: tuple[Event, ...]
    verdicts: list[Verdict | None] = field(default_factory=list)
    unanswered: int = 0

    def __post_init__(self) -> None:
        self.verdicts = [None] * len(self.events)
        self.unanswered = len(self.events)


class NatsEngineLine:
    """An engine's end. Many engines share one fleet: each event goes to one of them, and to another if that one stops.

    ``route`` tells for an endpoint's name its site and driver. Calls may come from any thread; nothing happens
    before ``start``, and nothing after ``close``, which gives back the events that are not answered yet.

    Raises:
        BadSettings: what the settings name cannot be used.
    """

    def __init__(self, config: NatsConfig, *, route: Callable[[str], tuple[str, str]], name: str = "engine") -> None:
        self._config = config
        self._route = route
        self._turn = threading.Condition()
        self._woken = False
        self._untaken: deque[tuple[Batch, int]] = deque()
        self._unanswered: dict[int, tuple[Batch, int]] = {}
        self._held: set[Batch] = set()
        self._room = asyncio.Event()
        self._at_work = False
        self._publisher = Publisher(config)
        self._link = Link(config, name=name, inbox="_INBOX", session=self._session)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def connected(self) -> bool:
        """Whether NATS can be reached now, and JetStream has let us have what we need there."""
        return self._at_work and self._link.connected

    def start(self) -> None:
        """Begin to connect, and do not wait for it: what is published meanwhile waits."""
        self._link.start()

    def close(self) -> None:
        """Give back the events that are not answered, send what is to be sent, and end."""
        self._link.close()

    def publish(self, commands: Iterable[Command]) -> None:
        """Hand out commands; one that is handed out already is passed over."""
        for command in commands:
            site, driver = self._route(command.endpoint)
            if is_token(site) and is_token(driver):
                self._publisher.add(site, driver, command)
            else:
                log.error("endpoint %s: no subject can name site %r and driver %r", command.endpoint, site, driver)
        self._link.call(self._publisher.wake)

    def lost(self, references: Sequence[Reference]) -> list[Reference]:
        """Those of these whose command is neither in the stream nor on its way there.

        Raises:
            Unavailable: NATS does not say.
        """
        if not references:
            return []
        on_their_way = self._publisher.waiting()
        there = self._link.ask(self._there(references), LOST_SECONDS_MAX)
        return [one for one in references if one not in there and one not in on_their_way]

    def withdraw(self, references: Iterable[Reference]) -> None:
        """Take back commands whose subtasks are over by the engine's own doing."""
        self._publisher.withdraw(references)
        self._link.call(self._publisher.wake)

    def take_events(self, count_max: int) -> list[Event]:
        """The oldest events not yet taken, each worker's in the order in which it reported them."""
        taken: list[Event] = []
        with self._turn:
            while self._untaken and len(taken) < count_max:
                batch, number = self._untaken.popleft()
                event = batch.events[number]
                self._unanswered[id(event)] = batch, number
                taken.append(event)
        if taken:
            self._link.call(self._room.set)
        return taken

    def speaks_for(self, event: Event, endpoint: str) -> bool:
        """Whether the event came on a subject of the site where this endpoint is: NATS lets nobody else use that."""
        with self._turn:
            batch, _ = self._unanswered[id(event)]
        return self._config.subjects.site_of(batch.message.subject) == self._route(endpoint)[0]

    def answer(self, verdicts: Sequence[tuple[Event, Verdict]]) -> None:
        """Say what became of events that ``take_events`` gave; whoever reported hears of it when its batch is whole."""
        whole: list[Batch] = []
        with self._turn:
            for event, verdict in verdicts:
                batch, number = self._unanswered.pop(id(event))
                batch.verdicts[number] = verdict
                batch.unanswered -= 1
                if not batch.unanswered:
                    whole.append(batch)
        if whole:
            answers = [(batch, write_verdicts(batch.name, [one for one in batch.verdicts if one])) for batch in whole]
            self._link.call(self._say, answers)

    def wait(self, timeout_seconds: float) -> None:
        """Sleep until there are events, somebody calls ``wake``, or the time is over."""
        with self._turn:
            self._turn.wait_for(lambda: self._untaken or self._woken, timeout_seconds)
            self._woken = False

    def wake(self) -> None:
        """End a ``wait`` now; may be called from any thread."""
        with self._turn:
            self._woken = True
            self._turn.notify()

    async def _session(self, client: Client) -> None:
        await jetstream.found(client, self._config)
        self._at_work = True
        try:
            await together(self._pull_events(client), self._publisher.run(client), self._beat(client))
        finally:
            self._at_work = False
            await self._give_back(client)

    async def _give_back(self, client: Client) -> None:
        """Let another engine have at once what is not answered, as long as there is a connection to say so.

        Without one it has it when ``ack_wait`` is over. What was taken is ours to commit all the same: events that
        come twice move nothing.
        """
        with self._turn:
            self._untaken.clear()
            given_back, self._held = self._held, set()
        if client.is_connected:
            for batch in given_back:
                await client.publish(batch.message.reply, NAK)

    async def _beat(self, client: Client) -> None:
        """Keep what we hold from being given to another engine, and find out whether the server still listens."""
        seconds = self._config.beat_seconds
        while True:
            await asyncio.sleep(seconds)
            for batch in list(self._held):
                await client.publish(batch.message.reply, PROGRESS)
            await client.flush(timeout=ceil(seconds))

    async def _pull_events(self, client: Client) -> None:
        puller = Puller(client, self._config.subjects.events, RECORDER)
        while True:
            messages = await puller.pull(BATCHES_PER_PULL_MAX) or await puller.wait(WAIT_SECONDS)
            for message in messages:
                await self._receive(client, message)
            while len(self._untaken) >= EVENTS_AHEAD_MAX:
                self._room.clear()
                await self._room.wait()

    async def _receive(self, client: Client, message: Msg) -> None:
        try:
            letter = read_events(message.data)
        except Unreadable as why:
            log.error("%s: an unreadable batch of events is dropped: %s", message.subject, why)  # noqa: TRY400  (its text says it all)
            await client.publish(message.reply, TERM)
            return
        batch = Batch(name=letter.batch, message=message, events=letter.events)
        if not batch.events:
            await client.publish(message.reply, ACK)
            return
        with self._turn:
            self._held.add(batch)
            self._untaken.extend((batch, number) for number in range(len(batch.events)))
            self._turn.notify()

    def _say(self, answers: Sequence[tuple[Batch, list[bytes]]]) -> None:
        self._link.spawn(self._say_all(answers))

    async def _say_all(self, answers: Sequence[tuple[Batch, list[bytes]]]) -> None:
        try:
            client = self._link.client
            for batch, letters in answers:
                subject = self._config.subjects.answers_to(batch.message.subject)
                for letter in letters:
                    await client.publish(subject, letter)
                if batch in self._held:
                    self._held.discard(batch)
                    await client.publish(batch.message.reply, ACK)
        except (Error, Unavailable) as error:
            log.warning("verdicts are not sent, the workers will ask again: %s", error)

    async def _there(self, references: Sequence[Reference]) -> set[Reference]:
        subjects = self._config.subjects
        executions = {execution_id for execution_id, _ in references}
        asked = [subjects.every_command]
        if len(executions) <= EXECUTIONS_ASKED_ONE_BY_ONE_MAX:
            asked = [subjects.of_execution(one) for one in executions]
        there: set[Reference] = set()
        for subject in asked:
            for one in await jetstream.published(self._link.client, subjects.commands, subject):
                *_, execution_id, ordinal = one.split(".")
                there.add((execution_id, int(ordinal)))
        return there
