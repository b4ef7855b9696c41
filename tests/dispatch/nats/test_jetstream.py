from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from fleetcron.dispatch.nats import jetstream
from fleetcron.dispatch.nats.config import NatsConfig
from fleetcron.dispatch.nats.jetstream import ACK, Puller, Refused, deliveries
from fleetcron.errors import Unavailable
from nats_line import connected, nats_config, run, take_streams_away
from peers.nats import Nats

_T = TypeVar("_T")


def among_streams(nats: Nats, story: Callable[[Client, NatsConfig], Awaitable[_T]]) -> _T:
    """See a story through with streams and the consumer of the site default."""

    async def told() -> _T:
        config = nats_config(nats)
        async with connected(nats.url) as client:
            await jetstream.found(client, config)
            await jetstream.found_site(client, config, "default")
            try:
                return await story(client, config)
            finally:
                await take_streams_away(config)

    return run(told())


async def publish(client: Client, config: NatsConfig, ordinals: range) -> list[bool]:
    """Publish something for each subtask; whether it was taken."""
    taken = []
    for ordinal in ordinals:
        subject = config.subjects.command("default", "simulated", ("e1", ordinal))
        taken.append(b'"error"' not in (await client.request(subject, str(ordinal).encode(), timeout=5)).data)
    return taken


def test_streams_are_made_by_as_many_engines_as_there_are_and_brought_to_new_settings(nats: Nats) -> None:
    async def story(client: Client, config: NatsConfig) -> float:
        await asyncio.gather(*(jetstream.found(client, config) for _ in range(5)))
        slower = msgspec.structs.replace(config, ack_wait_seconds=30.0)
        await jetstream.found(client, slower)
        await jetstream.found_site(client, slower, "default")
        consumer = await client.jetstream().consumer_info(config.subjects.commands, "default")
        return consumer.config.ack_wait or 0.0

    assert among_streams(nats, story) == 30


def test_a_stream_that_differs_is_changed_and_keeps_what_is_in_it(nats: Nats) -> None:
    async def story(client: Client, config: NatsConfig) -> tuple[int, int]:
        await publish(client, config, range(3))
        jet = client.jetstream()
        info = await jet.stream_info(config.subjects.commands)
        await jet.update_stream(info.config, max_msgs=5)
        await jetstream.found(client, config)
        info = await jet.stream_info(config.subjects.commands)
        return info.config.max_msgs or 0, info.state.messages

    assert among_streams(nats, story) == (jetstream.COMMANDS_MAX, 3)


def test_one_command_per_subtask_can_be_in_the_stream(nats: Nats) -> None:
    async def story(client: Client, config: NatsConfig) -> tuple[list[bool], list[bool], list[bool]]:
        first, again = await publish(client, config, range(2)), await publish(client, config, range(3))
        (message, *_) = await Puller(client, config.subjects.commands, "default").pull(10)
        await client.request(message.reply, ACK, timeout=5)
        return first, again, await publish(client, config, range(2))

    assert among_streams(nats, story) == ([True, True], [False, False, True], [True, False])


def test_what_is_published_is_told_by_its_subjects(nats: Nats) -> None:
    async def story(client: Client, config: NatsConfig) -> list[str]:
        await publish(client, config, range(3))
        there = await jetstream.published(client, config.subjects.commands, config.subjects.of_execution("e1"))
        assert await jetstream.published(client, config.subjects.commands, config.subjects.of_execution("e2")) == set()
        assert await jetstream.published(client, "MISSING", "missing.>") == set()
        return sorted(subject.removeprefix(config.prefix) for subject in there)

    assert among_streams(nats, story) == [f".command.default.simulated.e1.{ordinal}" for ordinal in range(3)]


def test_a_pull_takes_what_waits_and_no_more_than_asked_for(nats: Nats) -> None:
    async def story(client: Client, config: NatsConfig) -> list[list[bytes]]:
        puller = Puller(client, config.subjects.commands, "default")
        nothing = await puller.pull(3)
        await publish(client, config, range(5))
        pulled = [nothing, await puller.pull(3), await puller.pull(3), await puller.wait(0.01)]
        return [[message.data for message in some] for some in pulled]

    assert among_streams(nats, story) == [[], [b"0", b"1", b"2"], [b"3", b"4"], []]


def test_a_wait_ends_with_the_first_that_comes(nats: Nats) -> None:
    async def story(client: Client, config: NatsConfig) -> list[bytes]:
        waiting = asyncio.create_task(Puller(client, config.subjects.commands, "default").wait(30))
        await asyncio.sleep(0)
        await publish(client, config, range(2))
        return [message.data for message in await waiting]

    assert among_streams(nats, story) == [b"0"]


def test_what_comes_to_a_pull_that_was_given_up_goes_to_the_next(nats: Nats) -> None:
    async def story(client: Client, config: NatsConfig) -> list[int]:
        puller = Puller(client, config.subjects.commands, "default")
        waiting = asyncio.create_task(puller.wait(30))
        await client.flush()
        waiting.cancel()
        await asyncio.wait({waiting})
        await publish(client, config, range(1))
        messages = await puller.pull(5) or await puller.wait(10)
        return [deliveries(message) for message in messages]

    assert among_streams(nats, story) in ([1], [2])


def test_pulling_from_nobody_is_told(nats: Nats) -> None:
    async def story(client: Client, config: NatsConfig) -> None:
        puller = Puller(client, config.subjects.commands, "north")
        with pytest.raises(Unavailable, match="no engine has made its consumer yet"):
            await puller.pull(1)

    among_streams(nats, story)


def test_a_consumer_that_is_taken_away_ends_the_wait(nats: Nats) -> None:
    async def story(client: Client, config: NatsConfig) -> None:
        waiting = asyncio.create_task(Puller(client, config.subjects.commands, "default").wait(30))
        await client.flush()
        await client.jetstream().delete_consumer(config.subjects.commands, "default")
        with pytest.raises(Unavailable, match="Consumer Deleted"):
            await waiting

    among_streams(nats, story)


def test_a_refusal_has_jetstreams_own_number(nats: Nats) -> None:
    async def story(client: Client, config: NatsConfig) -> int:
        with pytest.raises(Refused) as refused:
            await jetstream.ask(client, "STREAM.INFO.MISSING")
        return refused.value.code

    assert among_streams(nats, story) == jetstream.STREAM_MISSING


@pytest.mark.parametrize(
    "reply", ["$JS.ACK.COMMANDS.default.3.7.8.1700000000.0", "$JS.ACK.hub.acc.COMMANDS.default.3.7.8.1700000000.0.x"]
)
def test_a_delivery_tells_how_often_it_was_made_in_a_domain_too(reply: str) -> None:
    assert deliveries(Msg(Client(), reply=reply)) == 3
