from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from nats.aio.client import Client

from conversation import a_command
from fleetcron.dispatch.nats import jetstream, publisher
from fleetcron.dispatch.nats.config import NatsConfig
from fleetcron.dispatch.nats.letters import LETTER_BYTES_MAX
from fleetcron.dispatch.nats.publisher import Publisher
from fleetcron.errors import Unavailable
from nats_line import connected, nats_config, run, take_streams_away, until
from peers.nats import Nats


@asynccontextmanager
async def publishing(nats: Nats) -> AsyncIterator[tuple[Client, NatsConfig, Publisher]]:
    """A publisher that has streams and does not run yet."""
    config = nats_config(nats)
    async with connected(nats.url) as client:
        await jetstream.found(client, config)
        try:
            yield client, config, Publisher(config)
        finally:
            await take_streams_away(config)


async def run_dry(client: Client, publisher: Publisher) -> None:
    """Let it do what it has to do."""
    running = asyncio.create_task(publisher.run(client))
    try:
        await until(lambda: running.done() or not (publisher.waiting() or publisher._withdrawn))
        # What was taken from the list of the withdrawn is on its way: one more round comes after it.
        publisher.add("default", "simulated", a_command(999))
        publisher.wake()
        await until(lambda: running.done() or not publisher.waiting())
    finally:
        running.cancel()
        await asyncio.wait({running})
    if not running.cancelled():
        running.result()


async def ordinals_there(client: Client, config: NatsConfig) -> list[int]:
    there = await jetstream.published(client, config.subjects.commands, config.subjects.every_command)
    return sorted(int(subject.rsplit(".", 1)[1]) for subject in there)


def test_what_waits_for_a_connection_is_published_when_there_is_one(nats: Nats) -> None:
    async def story() -> list[int]:
        async with publishing(nats) as (client, config, publisher):
            for ordinal in range(3):
                publisher.add("default", "simulated", a_command(ordinal))
            assert publisher.waiting() == {("e1", 0), ("e1", 1), ("e1", 2)}
            await run_dry(client, publisher)
            assert publisher.waiting() == set()
            return await ordinals_there(client, config)

    assert run(story()) == [0, 1, 2, 999]


def test_more_than_go_at_once_are_published_all_the_same(nats: Nats, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> list[int]:
        async with publishing(nats) as (client, config, publisher):
            for ordinal in range(50):
                publisher.add("default", "simulated", a_command(ordinal))
            await run_dry(client, publisher)
            return await ordinals_there(client, config)

    monkeypatch.setattr(publisher, "UNCONFIRMED_MAX", 7)
    assert run(story()) == [*range(50), 999]


def test_what_is_there_already_is_passed_over_without_a_word(nats: Nats, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> list[int]:
        async with publishing(nats) as (client, config, publisher):
            for _ in range(2):
                publisher.add("default", "simulated", a_command(1))
                await run_dry(client, publisher)
            return await ordinals_there(client, config)

    assert run(story()) == [1, 999]
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_what_is_withdrawn_before_it_is_published_never_is(nats: Nats) -> None:
    async def story() -> list[int]:
        async with publishing(nats) as (client, config, publisher):
            publisher.add("default", "simulated", a_command(1))
            publisher.add("default", "simulated", a_command(2))
            publisher.withdraw([("e1", 1)])
            await run_dry(client, publisher)
            return await ordinals_there(client, config)

    assert run(story()) == [2, 999]


def test_what_is_withdrawn_after_it_is_published_is_gone_whatever_its_site(nats: Nats) -> None:
    async def story() -> list[int]:
        async with publishing(nats) as (client, config, publisher):
            for ordinal in range(100):
                publisher.add("north" if ordinal % 2 else "default", "simulated", a_command(ordinal))
            await run_dry(client, publisher)
            publisher.withdraw(("e1", ordinal) for ordinal in range(90))
            await run_dry(client, publisher)
            return await ordinals_there(client, config)

    assert run(story()) == [*range(90, 100), 999]


def test_what_the_stream_does_not_take_is_logged_and_given_up(nats: Nats, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> set[tuple[str, int]]:
        async with publishing(nats) as (client, config, publisher):
            jet = client.jetstream()
            await jet.update_stream((await jet.stream_info(config.subjects.commands)).config, max_msgs=1)
            for ordinal in range(3):
                publisher.add("default", "simulated", a_command(ordinal))
            await run_dry(client, publisher)
            return publisher.waiting()

    assert run(story()) == set()
    assert "2 of 3 commands are not in JetStream: maximum messages exceeded" in caplog.text


def test_without_a_stream_what_waits_goes_on_waiting(nats: Nats) -> None:
    async def story() -> set[tuple[str, int]]:
        async with publishing(nats) as (client, config, publisher):
            await client.jetstream().delete_stream(config.subjects.commands)
            publisher.add("default", "simulated", a_command(1))
            with pytest.raises(Unavailable):
                await run_dry(client, publisher)
            return publisher.waiting()

    assert ("e1", 1) in run(story())


def test_no_more_wait_than_there_is_room_for(
    nats: Nats, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(publisher, "WAITING_MAX", 2)
    full = Publisher(nats_config(nats))
    for ordinal in range(3):
        full.add("default", "simulated", a_command(ordinal))
    assert full.waiting() == {("e1", 0), ("e1", 1)}
    assert "execution e1 subtask 2: too many" in caplog.text


def test_a_command_that_no_server_would_take_is_logged_and_not_published(
    nats: Nats, caplog: pytest.LogCaptureFixture
) -> None:
    narrow = Publisher(nats_config(nats))
    narrow.add("default", "simulated", a_command(ticket="t" * LETTER_BYTES_MAX))
    assert narrow.waiting() == set()
    assert "execution e1 subtask 1: its command is too long" in caplog.text
