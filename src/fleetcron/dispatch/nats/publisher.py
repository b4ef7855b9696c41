"""What an engine has to publish or to take back, in order, until JetStream has said that it has it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterable
from itertools import islice
from typing import Final, NamedTuple

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from fleetcron.dispatch.contract import Command
from fleetcron.dispatch.nats import jetstream
from fleetcron.dispatch.nats.config import NatsConfig
from fleetcron.dispatch.nats.letters import LETTER_BYTES_MAX, write_command
from fleetcron.domain.execution import Reference
from fleetcron.errors import Unavailable

log = logging.getLogger(__name__)

WAITING_MAX: Final = 200_000
UNCONFIRMED_MAX: Final = 500
CONFIRM_SECONDS_MAX: Final = 5.0
PURGES_AT_ONCE_MAX: Final = 64
ALREADY_THERE: Final = "maximum messages per subject exceeded"


class Publication(NamedTuple):
    """A command on its way into the stream."""

    reference: Reference
    site: str
    subject: str
    letter: bytes


class Publisher:
    """Publishes commands and takes them back. What it could not do is logged and forgotten: ``lost`` finds it.

    ``add``, ``withdraw`` and ``waiting`` may be called from any thread, ``wake`` and ``run`` in the link's loop.
    """

    def __init__(self, config: NatsConfig) -> None:
        self._config = config
        self._turn = threading.Lock()
        self._waiting: dict[Reference, Publication] = {}
        self._withdrawn: list[Reference] = []
        self._sites: set[str] = set()
        self._founded: set[str] = set()
        self._awake = asyncio.Event()
        self._inbox = ""
        self._round = 0
        self._unconfirmed = 0
        self._refusals: dict[str, int] = {}
        self._confirmed: asyncio.Future[None] | None = None

    def add(self, site: str, driver: str, command: Command) -> None:
        """Publish a command as soon as there is a connection."""
        subject = self._config.subjects.command(site, driver, command.reference)
        publication = Publication(command.reference, site, subject, write_command(command))
        if len(publication.letter) > LETTER_BYTES_MAX:
            # A message that no server takes ends the connection, and would end the next one, too.
            log.error("execution %s subtask %d: its command is too long to be published", *command.reference)
            return
        with self._turn:
            if len(self._waiting) < WAITING_MAX:
                self._waiting.setdefault(command.reference, publication)
                return
        log.error("execution %s subtask %d: too many commands wait to be published", *command.reference)

    def withdraw(self, references: Iterable[Reference]) -> None:
        """Publish these no more, and take them back where they are published."""
        with self._turn:
            for reference in references:
                self._waiting.pop(reference, None)
                self._withdrawn.append(reference)
            # Whoever takes one of those that are forgotten here is told by the engine that it is over.
            del self._withdrawn[:-WAITING_MAX]

    def waiting(self) -> set[Reference]:
        """Those that are not known to be in the stream yet and will be, or will be given up."""
        with self._turn:
            return set(self._waiting)

    def wake(self) -> None:
        """Look for something to do."""
        self._awake.set()

    async def run(self, client: Client) -> None:
        """Publish and take back, until cancelled.

        Raises:
            Unavailable: the stream or the consumer is not there or does not answer; a new session makes them.
        """
        self._inbox = client.new_inbox()
        await client.subscribe(f"{self._inbox}.*", cb=self._hear)
        # Those of an earlier session may be gone with their stream.
        self._founded.clear()
        for site in list(self._sites):
            await self._found(client, site)
        while True:
            while batch := self._next():
                await self._publish(client, batch)
            if withdrawn := self._take_withdrawn():
                await self._purge(client, withdrawn)
                continue
            self._awake.clear()
            if not self._waiting and not self._withdrawn:
                await self._awake.wait()

    def _next(self) -> list[Publication]:
        with self._turn:
            return list(islice(self._waiting.values(), UNCONFIRMED_MAX))

    def _take_withdrawn(self) -> list[Reference]:
        with self._turn:
            withdrawn, self._withdrawn = self._withdrawn, []
            return withdrawn

    async def _publish(self, client: Client, batch: list[Publication]) -> None:
        self._round += 1
        self._unconfirmed = len(batch)
        self._refusals = {}
        self._confirmed = asyncio.get_running_loop().create_future()
        reply = f"{self._inbox}.{self._round}"
        for site in {publication.site for publication in batch}:
            await self._found(client, site)
        for publication in batch:
            await client.publish(publication.subject, publication.letter, reply)
        try:
            async with asyncio.timeout(CONFIRM_SECONDS_MAX):
                await self._confirmed
        except TimeoutError:
            log.warning("%d of %d commands are not confirmed by JetStream", self._unconfirmed, len(batch))
        for refusal, count in self._refusals.items():
            log.warning("%d of %d commands are not in JetStream: %s", count, len(batch), refusal)
        with self._turn:
            for publication in batch:
                self._waiting.pop(publication.reference, None)

    async def _found(self, client: Client, site: str) -> None:
        self._sites.add(site)
        if site not in self._founded:
            await jetstream.found_site(client, self._config, site)
            self._founded.add(site)

    async def _hear(self, message: Msg) -> None:
        if self._confirmed is None or self._confirmed.done() or not message.subject.endswith(f".{self._round}"):
            return
        if message.headers is not None:
            # Nobody listens there: the stream is gone.
            self._confirmed.set_exception(Unavailable("there is no stream for commands"))
            return
        self._unconfirmed -= 1
        if b'"error"' in message.data:
            wrong = msgspec.json.decode(message.data)["error"]
            if wrong.get("description") != ALREADY_THERE:
                self._refusals[wrong.get("description", "")] = self._refusals.get(wrong.get("description", ""), 0) + 1
        if not self._unconfirmed:
            self._confirmed.set_result(None)

    async def _purge(self, client: Client, references: list[Reference]) -> None:
        places = asyncio.Semaphore(PURGES_AT_ONCE_MAX)
        subjects = self._config.subjects

        async def purge(reference: Reference) -> None:
            async with places:
                question = {"filter": subjects.wherever(reference)}
                await jetstream.ask(client, f"STREAM.PURGE.{subjects.commands}", question)

        done = await asyncio.gather(*map(purge, references), return_exceptions=True)
        failed = [one for one in done if isinstance(one, BaseException)]
        if failed:
            log.warning("%d of %d commands are not withdrawn: %s", len(failed), len(references), failed[0])
