"""A worker's reports: gathered into batches, said until they are answered, and acted on as they were answered."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Final
from uuid import uuid4

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error

from fleetcron.dispatch.contract import Event, Verdict
from fleetcron.dispatch.nats.held import ANOTHERS, Delivery, Holdings
from fleetcron.dispatch.nats.jetstream import ACK, nak
from fleetcron.dispatch.nats.letters import LETTER_BYTES_MAX, Unreadable, read_verdicts, write_event, write_events
from fleetcron.dispatch.nats.link import Link
from fleetcron.errors import Unavailable

log = logging.getLogger(__name__)

EVENTS_PER_BATCH_MAX: Final = 256
BATCH_BYTES_MAX: Final = 256 * 1024
BATCHES_UNANSWERED_MAX: Final = 16
RESEND_SECONDS: Final = 3.0
RESEND_SECONDS_MAX: Final = 24.0
CONFIRM_SECONDS_MAX: Final = 2.0
AGAIN_SECONDS: Final = 0.25


class Report:
    """One event, and whoever waits in the worker's loop to hear what became of it."""

    def __init__(self, event: Event, delivery: Delivery) -> None:
        self.event = event
        self.delivery = delivery
        self.letter = write_event(event)
        self.loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Verdict] = self.loop.create_future()
        self.is_over = False
        self.batch: Batch | None = None

    def fail(self, reason: str) -> None:
        """Tell that no answer will come."""
        if not self.is_over:
            self.end()
            _tell(self.loop, [(self, Unavailable(reason))])

    def end(self) -> None:
        """Wait no more for an answer."""
        if self.is_over:
            return
        self.is_over = True
        self.delivery.waiting.discard(self.fail)
        if self.batch is not None:
            self.batch.let_go()


class Batch:
    """Events that are said together."""

    def __init__(self, name: str, reports: list[Report]) -> None:
        self.name = name
        self.reports = reports
        self.letter = write_events(name, (report.letter for report in reports))
        self.stirred = asyncio.Event()
        self._waiting = len(reports)
        for report in reports:
            report.batch = self

    @property
    def is_over(self) -> bool:
        """Whether nobody waits any more for what becomes of it."""
        return self._waiting == 0

    def let_go(self) -> None:
        """One report less is waited for; after the last one there is no need to say it again."""
        self._waiting -= 1
        if self.is_over:
            self.stirred.set()


class Reporter:
    """Says what is waiting to be said, all at once and without lingering, until an engine has answered.

    ``add`` and ``give_up`` may be called from any thread, the rest in the link's loop.
    """

    def __init__(self, link: Link, holdings: Holdings, *, subject: str, ack_wait_seconds: float) -> None:
        self._link = link
        self._holdings = holdings
        self._subject = subject
        self._ack_wait_seconds = ack_wait_seconds
        self._new: deque[Report] = deque()
        self._called = False
        self._batches: dict[str, Batch] = {}
        # A worker that was started anew under its old name must not take the answers for its own.
        self._incarnation = uuid4().hex
        self._number = 0

    def add(self, report: Report) -> None:
        """Say this as soon as may be."""
        self._new.append(report)
        if not self._called:
            self._called = True
            self._link.call(self._talk)

    def give_up(self, report: Report) -> None:
        """Nobody waits for this any more."""
        self._link.call(report.end)

    def stir(self) -> None:
        """Say everything again that is not answered: the connection is a new one."""
        for batch in self._batches.values():
            batch.stirred.set()

    async def hear(self, message: Msg) -> None:
        """Take in what an engine has answered."""
        try:
            letter = read_verdicts(message.data)
        except Unreadable as why:
            log.error("%s: an unreadable verdict is dropped: %s", message.subject, why)  # noqa: TRY400  (its text says it all)
            return
        batch = self._batches.get(letter.batch)
        if batch is None:
            return
        answered: list[tuple[Report, Verdict | Unavailable]] = []
        for report, verdict in zip(batch.reports[letter.first :], letter.verdicts, strict=False):
            if not report.is_over:
                report.end()
                await self._act(message._client, report, verdict)  # noqa: SLF001  (the connection that it came by)
                answered.append((report, verdict if verdict.refused is None else Unavailable(verdict.refused)))
        if answered:
            _tell(answered[0][0].loop, answered)

    def _talk(self) -> None:
        self._called = False
        while self._new and len(self._batches) < BATCHES_UNANSWERED_MAX:
            reports = self._gather()
            if not reports:
                continue
            self._number += 1
            batch = Batch(f"{self._incarnation}.{self._number}", reports)
            self._batches[batch.name] = batch
            self._link.spawn(self._converse(batch))

    def _gather(self) -> list[Report]:
        """What goes into one batch."""
        reports: list[Report] = []
        size_bytes = 0
        while self._new and len(reports) < EVENTS_PER_BATCH_MAX and size_bytes < BATCH_BYTES_MAX:
            report = self._new.popleft()
            if self._holdings.find(report.delivery.command.reference) is not report.delivery:
                report.fail(ANOTHERS)
            elif len(report.letter) > LETTER_BYTES_MAX:
                report.fail("the event is too long to be said")
                # Nobody works on it any more: it must not be kept from others.
                self._holdings.drop(report.delivery, "what became of it is too long to be said")
            elif not report.is_over:
                report.delivery.waiting.add(report.fail)
                reports.append(report)
                size_bytes += len(report.letter)
        return reports

    async def _converse(self, batch: Batch) -> None:
        """Say a batch until it is answered, or nobody waits for that any more."""
        seconds = RESEND_SECONDS
        try:
            while not batch.is_over:
                batch.stirred.clear()
                was_said = await self._say(batch)
                with suppress(TimeoutError):
                    async with asyncio.timeout(seconds if was_said else AGAIN_SECONDS):
                        await batch.stirred.wait()
                # While no engine is there to answer, the stream is not to be filled with the same.
                seconds = min(seconds * 2, RESEND_SECONDS_MAX) if was_said else RESEND_SECONDS
        finally:
            del self._batches[batch.name]
            self._talk()

    async def _say(self, batch: Batch) -> bool:
        """Say it once; whether it is in the stream now."""
        try:
            said = await self._link.client.request(self._subject, batch.letter, timeout=CONFIRM_SECONDS_MAX)
        except (Error, Unavailable) as error:
            log.debug("a batch of events is not in the stream: %s", error)
            return False
        if b'"error"' in said.data:
            log.warning("a batch of events is not in the stream: %s", said.data.decode(errors="replace"))
            return False
        return True

    async def _act(self, client: Client, report: Report, verdict: Verdict) -> None:
        """Give up a command that is over, or another attempt's."""
        delivery = report.delivery
        if not verdict.over and (verdict.refused is None or delivery.attempt != report.event.attempt):
            return
        if self._holdings.find(delivery.command.reference) is delivery:
            # Whoever has the subtask may be alive and need long; if not, the next one is asked in good time.
            await client.publish(delivery.reply, ACK if verdict.over else nak(self._ack_wait_seconds))
        self._holdings.drop(delivery, verdict.refused or "the subtask is over")


def _tell(loop: asyncio.AbstractEventLoop, answered: Iterable[tuple[Report, Verdict | Unavailable]]) -> None:
    """Tell in the worker's loop; a worker that is gone needs no telling."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(_resolve, list(answered))


def _resolve(answered: Iterable[tuple[Report, Verdict | Unavailable]]) -> None:
    for report, answer in answered:
        if report.answer.done():
            continue
        if isinstance(answer, Unavailable):
            report.answer.set_exception(answer)
        else:
            report.answer.set_result(answer)
