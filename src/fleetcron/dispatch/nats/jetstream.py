"""The few things that we ask of JetStream: streams and consumers made, messages pulled, counted and purged."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error

from fleetcron.dispatch.nats.config import RECORDER, NatsConfig
from fleetcron.errors import Unavailable

API: Final = "$JS.API"
# While a cluster has no leader nobody answers, nor will what was asked then be answered later: it is asked again.
ANSWER_SECONDS_MAX: Final = 2.5
NANOSECONDS: Final = 1_000_000_000

COMMANDS_MAX: Final = 1_000_000
EVENTS_PER_WORKER_MAX: Final = 1_000
EVENTS_BYTES_MAX: Final = 1024 * 1024 * 1024
EVENTS_SECONDS_MAX: Final = 3600
ACKS_PENDING_MAX: Final = 20_000
LATE_SECONDS_MAX: Final = 2.0

STREAM_DIFFERS: Final = 10058
STREAM_MISSING: Final = 10059
CONSUMER_MISSING: Final = 10014
NO_MESSAGES: Final = ("404", "408")
HEARTBEAT: Final = "100"
NOBODY: Final = "503"
NO_CONSUMER: Final = "no engine has made its consumer yet"

ACK: Final = b"+ACK"
TERM: Final = b"+TERM"
NAK: Final = b"-NAK"
PROGRESS: Final = b"+WPI"


class Refused(Unavailable):
    """JetStream did not do what it was asked; ``code`` is its own number for why."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


async def ask(client: Client, subject: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
    """Ask JetStream's API.

    Raises:
        Refused: it said no.
        Unavailable: it said nothing.
    """
    question = b"" if body is None else msgspec.json.encode(body)
    try:
        said = await client.request(f"{API}.{subject}", question, timeout=ANSWER_SECONDS_MAX)
    except Error as error:
        raise Unavailable(f"JetStream does not answer {subject}: {str(error) or type(error).__name__}") from error
    answer: dict[str, Any] = msgspec.json.decode(said.data)
    if wrong := answer.get("error"):
        raise Refused(wrong.get("err_code", 0), f"{subject}: {wrong.get('description', 'refused')}")
    return answer


async def found(client: Client, config: NatsConfig) -> None:
    """Make the streams, and the consumer that all engines share; what is there already is brought to the settings."""
    for stream in _streams(config):
        try:
            await ask(client, f"STREAM.CREATE.{stream['name']}", stream)
        except Refused as refused:
            if refused.code != STREAM_DIFFERS:
                raise
            await ask(client, f"STREAM.UPDATE.{stream['name']}", stream)
    await _found_consumer(client, config, config.subjects.events, RECORDER, config.subjects.every_event)


async def found_site(client: Client, config: NatsConfig, site: str) -> None:
    """Make the consumer that a site's workers share."""
    await _found_consumer(client, config, config.subjects.commands, site, config.subjects.commands_of(site))


def _streams(config: NatsConfig) -> Iterator[dict[str, object]]:
    subjects = config.subjects
    kept = {"storage": "file", "retention": "workqueue", "num_replicas": config.replicas}
    yield kept | {
        "name": subjects.commands,
        "subjects": [subjects.every_command],
        # One command per subtask: publishing it again is refused, so the sweeper may be as eager as it likes.
        "max_msgs_per_subject": 1,
        "discard": "new",
        "discard_new_per_subject": True,
        "max_msgs": COMMANDS_MAX,
    }
    yield kept | {
        "name": subjects.events,
        "subjects": [subjects.every_event],
        # While no engine answers, workers say the same again and again: the oldest may go.
        "max_msgs_per_subject": EVENTS_PER_WORKER_MAX,
        "discard": "old",
        "max_bytes": EVENTS_BYTES_MAX,
        "max_age": EVENTS_SECONDS_MAX * NANOSECONDS,
    }


async def _found_consumer(client: Client, config: NatsConfig, stream: str, name: str, subject: str) -> None:
    consumer = {
        "durable_name": name,
        "filter_subject": subject,
        "ack_policy": "explicit",
        "ack_wait": int(config.ack_wait_seconds * NANOSECONDS),
        "max_deliver": -1,
        "max_ack_pending": ACKS_PENDING_MAX,
    }
    await ask(client, f"CONSUMER.DURABLE.CREATE.{stream}.{name}", {"stream_name": stream, "config": consumer})


async def published(client: Client, stream: str, subject: str) -> set[str]:
    """The subjects of a stream's messages that match this one; a stream that is not there has none."""
    subjects: set[str] = set()
    while True:
        question = {"subjects_filter": subject, "offset": len(subjects)}
        try:
            answer = await ask(client, f"STREAM.INFO.{stream}", question)
        except Refused as refused:
            if refused.code == STREAM_MISSING:
                return set()
            raise
        page = answer["state"].get("subjects") or {}
        subjects.update(page)
        if not page or len(subjects) >= answer.get("total", 0):
            return subjects


def deliveries(message: Msg) -> int:
    """How often a message was handed out, this time included."""
    # $JS.ACK.<stream>.<consumer>.<deliveries>.… or, with a domain, $JS.ACK.<domain>.<account>.<stream>.…
    tokens = message.reply.split(".")
    return int(tokens[4] if len(tokens) == 9 else tokens[6])  # noqa: PLR2004  (the subject's form is JetStream's)


def nak(delay_seconds: float = 0.0) -> bytes:
    """Give a message back, to be handed out again after this time."""
    if delay_seconds <= 0:
        return NAK
    return NAK + msgspec.json.encode({"delay": int(delay_seconds * NANOSECONDS)})


class Puller:
    """Pulls one consumer's messages, one pull at a time, so that never more are on their way than were asked for.

    What comes after its pull was given up is not taken for an answer to the next: it is handed out again, by and by.
    """

    def __init__(self, client: Client, stream: str, consumer: str) -> None:
        self._client = client
        self._next = f"{API}.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._inbox: Subscription | None = None
        self._wanted = 0
        self._got: list[Msg] = []
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def pull(self, count_max: int) -> list[Msg]:
        """Those that wait now.

        Raises:
            Unavailable: the consumer is not there, or does not answer.
        """
        return await self._pull(count_max, {"batch": count_max, "no_wait": True}, 0.0)

    async def wait(self, timeout_seconds: float) -> list[Msg]:
        """The next one, or none within this time.

        Raises:
            Unavailable: the consumer is not there, or does not answer.
        """
        return await self._pull(1, {"batch": 1, "expires": int(timeout_seconds * NANOSECONDS)}, timeout_seconds)

    async def _pull(self, count_max: int, question: Mapping[str, object], timeout_seconds: float) -> list[Msg]:
        if self._inbox is None:
            self._inbox = await self._client.subscribe(self._client.new_inbox(), cb=self._hear)
        self._wanted, self._got = count_max, []
        self._over = asyncio.get_running_loop().create_future()
        await self._client.publish(self._next, msgspec.json.encode(question), self._inbox.subject)
        try:
            async with asyncio.timeout(timeout_seconds + LATE_SECONDS_MAX):
                await self._over
        except TimeoutError as error:
            await self._give_up()
            raise Unavailable("JetStream does not answer a pull") from error
        except asyncio.CancelledError:
            await self._give_up()
            raise
        return self._got

    async def _give_up(self) -> None:
        """Hand back what has come, and listen no more to what else is on its way."""
        inbox, self._inbox = self._inbox, None
        for message in self._got:
            await self._client.publish(message.reply, NAK)
        if inbox is not None:
            await inbox.unsubscribe()

    async def _hear(self, message: Msg) -> None:
        status = (message.headers or {}).get("Status")
        if self._over.done():
            # Of the end of a pull that had got all that it asked for.
            return
        if status is None:
            self._got.append(message)
            if len(self._got) == self._wanted:
                self._over.set_result(None)
        elif status in NO_MESSAGES or self._got:
            self._over.set_result(None)
        elif status != HEARTBEAT:
            said = (message.headers or {}).get("Description", "")
            reason = NO_CONSUMER if status == NOBODY else f"JetStream ended a pull: {said} ({status})"
            self._over.set_exception(Unavailable(reason))
