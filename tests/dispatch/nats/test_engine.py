from __future__ import annotations

import asyncio
import logging
from contextlib import closing, suppress
from pathlib import Path

import msgspec
import pytest

from conversation import a_command, began, events_of
from fleetcron.dispatch.contract import ACCEPTED, Began, Command, Event
from fleetcron.dispatch.nats import reporter
from fleetcron.dispatch.nats.config import NatsConfig
from fleetcron.dispatch.nats.engine import NatsEngineLine
from fleetcron.dispatch.nats.letters import write_event, write_events
from fleetcron.errors import Unavailable
from nats_line import (
    ACK_WAIT_SECONDS,
    OVER,
    PATIENT_SECONDS,
    STORY_SECONDS_MAX,
    NatsLine,
    answer_of,
    connected,
    nats_config,
    nats_line,
    route,
    run,
    settled,
    told,
    until,
)
from peers.nats import Nats, nats_peer


def fast(nats: Nats, replicas: int = 1) -> NatsConfig:
    return NatsConfig(servers=tuple(nats.urls), ack_wait_seconds=ACK_WAIT_SECONDS, replicas=replicas)


def is_out(line: NatsLine, *ordinals: int) -> bool:
    return line.engine.lost([("e1", ordinal) for ordinal in ordinals]) == []


def is_lost(line: NatsLine, *ordinals: int) -> bool:
    references = [("e1", ordinal) for ordinal in ordinals]
    return line.engine.lost(references) == references


def test_what_is_lost_cannot_be_known_without_a_connection() -> None:
    engine = NatsEngineLine(NatsConfig(servers=("nats://127.0.0.1:1",)), route=route)
    with pytest.raises(Unavailable):
        engine.lost([("e1", 1)])
    with engine:
        assert not engine.connected
        with pytest.raises(Unavailable):
            engine.lost([("e1", 1)])
        assert engine.lost([]) == []


def test_what_is_published_before_there_is_a_connection_is_not_lost(tmp_path: Path) -> None:
    async def story() -> list[int]:
        nats.node(0).kill()
        async with nats_line(fast(nats), shared=False) as line:
            line.engine.publish([a_command(1), a_command(2)])
            nats.node(0).start()
            return [command.ordinal for command in await (await line.worker()).take(10)]

    with nats_peer(tmp_path) as nats:
        assert 1 in run(story())


def test_many_executions_are_asked_after_together(nats: Nats) -> None:
    async def story() -> list[tuple[str, int]]:
        async with nats_line(nats_config(nats)) as line:
            there = [(f"e{number}", 1) for number in range(20)]
            line.engine.publish(a_command(execution_id=execution_id) for execution_id, _ in there)
            await until(lambda: line.engine.lost(there) == [])
            return line.engine.lost([*there, ("e20", 1), ("e1", 2)])

    assert run(story()) == [("e20", 1), ("e1", 2)]


def test_an_endpoint_that_no_subject_can_name_is_logged(nats: Nats, caplog: pytest.LogCaptureFixture) -> None:
    engine = NatsEngineLine(nats_config(nats), route=lambda _: ("a site", "simulated"))
    engine.publish([a_command()])
    assert "no subject can name site 'a site'" in caplog.text


def test_after_a_wipe_everything_is_lost_and_can_be_published_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with nats_line(fast(nats), shared=False) as line:
            worker = await line.worker()
            line.engine.publish([a_command(1), a_command(2)])
            await until(lambda: is_out(line, 1, 2))
            (held,) = await worker.take(1)
            assert await told(line.engine, worker.report(began()), ACCEPTED) is None
            await asyncio.to_thread(nats.wipe)
            await until(lambda: is_lost(line, 1, 2))
            await until(lambda: not worker.is_ours(held))
            line.engine.publish([a_command(1, began_at=held.start_until), a_command(2)])
            again: list[Command] = []
            while len(again) < 2:
                again += await worker.take(10)
            assert [command.ordinal for command in again] == [1, 2]
            assert await told(line.engine, worker.report(settled(2)), OVER) is None
            await until(lambda: is_lost(line, 2))

    with nats_peer(tmp_path) as nats:
        run(story())


def test_a_restart_of_the_server_is_survived_by_both_ends_and_what_was_held_stays_held(tmp_path: Path) -> None:
    async def story() -> None:
        async with nats_line(msgspec.structs.replace(fast(nats), ack_wait_seconds=10.0), shared=False) as line:
            worker = await line.worker()
            line.engine.publish([a_command(1), a_command(2)])
            await until(lambda: is_out(line, 1, 2))
            (command,) = await worker.take(1)
            await asyncio.to_thread(nats.restart)
            said = asyncio.create_task(answer_of(worker.report(began())))
            (event,) = await events_of(line.engine, 1)
            line.engine.answer([(event, ACCEPTED)])
            assert await said is None
            assert worker.is_ours(command)
            assert [two.ordinal for two in await worker.take(10)] == [2]
            assert await told(line.engine, worker.report(settled()), OVER) is None
            await until(lambda: is_lost(line, 1))
            assert is_out(line, 2)

    with nats_peer(tmp_path) as nats:
        run(story())


def test_streams_that_somebody_takes_away_are_made_again(nats: Nats) -> None:
    async def story() -> None:
        config = nats_config(nats)
        async with nats_line(config) as line:
            worker = await line.worker()
            line.engine.publish([a_command()])
            (held,) = await worker.take(1)
            async with connected(nats.url) as client:
                for stream in (config.subjects.commands, config.subjects.events):
                    await client.jetstream().delete_stream(stream)
            await until(lambda: is_lost(line, 1))
            # What the old consumer gave is proven by no other, though the connection was never lost.
            await until(lambda: not worker.is_ours(held))
            taking = asyncio.create_task(worker.take(1))
            while not taking.done():
                line.engine.publish([a_command()])
                await asyncio.wait({taking}, timeout=0.1)
            assert await told(line.engine, worker.report(began()), ACCEPTED) is None

    run(story())


def test_two_engines_share_the_events_and_one_takes_over_what_the_other_leaves(nats: Nats) -> None:
    async def story() -> tuple[set[int], list[str | None]]:
        config = nats_config(nats)
        async with nats_line(config) as line:
            with closing(NatsEngineLine(config, route=route)) as other:
                other.start()
                await until(lambda: other.connected)
                worker = await line.worker()
                line.engine.publish(a_command(ordinal) for ordinal in range(40))
                commands: list[Command] = []
                while len(commands) < 40:
                    commands += await worker.take(40)
                seen: tuple[list[Event], list[Event]] = [], []
                said = []
                for command in commands:
                    said.append(asyncio.create_task(answer_of(worker.report(began(command.ordinal)))))
                    await asyncio.sleep(0.002)
                    seen[0].extend(line.engine.take_events(100))
                    seen[1].extend(other.take_events(100))
                while len(seen[0] + seen[1]) < 30:
                    seen[0].extend(line.engine.take_events(100))
                    await asyncio.sleep(0.001)
                line.engine.answer([(event, ACCEPTED) for event in seen[0]])
                # The other one goes, and what it has taken and not answered is given to the first.
                other.close()
                while not all(one.done() for one in said):
                    taken = line.engine.take_events(100)
                    line.engine.answer([(event, ACCEPTED) for event in taken])
                    await asyncio.sleep(0.005)
                return {bool(some) for some in seen}, [one.result() for one in said]

    shared, answers = run(story())
    assert shared == {True}
    assert answers == [None] * 40


def test_what_a_slow_engine_has_taken_is_not_given_to_another(nats: Nats, monkeypatch: pytest.MonkeyPatch) -> None:
    # The worker asks no second time in this story, however slow the engine: what another engine gets is the stream's.
    monkeypatch.setattr(reporter, "RESEND_SECONDS", STORY_SECONDS_MAX)

    async def story() -> tuple[list[Event], list[Event]]:
        config = nats_config(nats, ack_wait_seconds=PATIENT_SECONDS)
        async with nats_line(config) as line:
            worker = await line.worker()
            line.engine.publish([a_command()])
            await worker.take(1)
            said = asyncio.create_task(answer_of(worker.report(began())))
            (event,) = await events_of(line.engine, 1)
            with closing(NatsEngineLine(config, route=route)) as other:
                other.start()
                # Slower than ack_wait.
                await asyncio.to_thread(other.wait, 1.5 * PATIENT_SECONDS)
                meanwhile = other.take_events(10)
            line.engine.answer([(event, ACCEPTED)])
            assert await said is None
            return [event], meanwhile

    assert run(story()) == ([began()], [])


def test_what_is_forged_with_another_sites_credentials_is_known_by_its_subject(nats: Nats) -> None:
    async def story() -> list[bool]:
        config = nats_config(nats)
        async with nats_line(config) as line, connected(nats.url) as client:
            await until(lambda: line.is_connected)
            letter = write_events("forged", [write_event(settled())])
            await client.request(config.subjects.event("north", "w1"), letter, timeout=5)
            (event,) = await events_of(line.engine, 1)
            said = [line.engine.speaks_for(event, endpoint) for endpoint in ("lab", "attic")]
            line.engine.answer([(event, OVER)])
            return said

    assert run(story()) == [False, True]


def test_events_that_cannot_be_read_are_logged_and_stop_nobody(nats: Nats, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        config = nats_config(nats)
        async with nats_line(config) as line:
            worker = await line.worker()
            line.engine.publish([a_command()])
            await worker.take(1)
            async with connected(nats.url) as client:
                await client.request(config.subjects.event("default", "stranger"), b"rubbish", timeout=5)
                assert await told(line.engine, worker.report(began()), ACCEPTED) is None
                stream = await client.jetstream().stream_info(config.subjects.events)
                await until(lambda: "unreadable batch" in caplog.text)
                assert stream.state.messages <= 1

    caplog.set_level(logging.ERROR)
    run(story())


def test_taking_events_twice_gives_them_once_and_an_answer_needs_no_order(nats: Nats) -> None:
    async def story() -> list[str | None]:
        async with nats_line(nats_config(nats)) as line:
            worker = await line.worker()
            line.engine.publish(a_command(ordinal) for ordinal in range(6))
            commands: list[Command] = []
            while len(commands) < 6:
                commands += await worker.take(6)
            said = [asyncio.create_task(answer_of(worker.report(began(ordinal)))) for ordinal in range(6)]
            taken = await events_of(line.engine, 6)
            assert line.engine.take_events(10) == []
            line.engine.answer([(event, ACCEPTED) for event in reversed(taken)])
            return [await one for one in said]

    assert run(story()) == [None] * 6


def test_a_cluster_of_three_goes_on_without_one(tmp_path: Path) -> None:
    async def story() -> None:
        config = msgspec.structs.replace(fast(nats, replicas=3), ack_wait_seconds=3.0)
        async with nats_line(config, shared=False) as line:
            worker = await line.worker()
            line.engine.publish(a_command(ordinal) for ordinal in range(20))
            await until(lambda: is_out(line, *range(20)))
            first = await worker.take(5)
            nats.leader().kill()
            asked: set[asyncio.Task[None]] = set()
            ended: set[int] = set()

            async def carry_out(ordinal: int, attempt: str, *, again: bool) -> None:
                with suppress(Unavailable):
                    if not again:
                        await worker.report(began(ordinal, attempt))
                    await worker.report(settled(ordinal, attempt))
                    ended.add(ordinal)

            async def answer() -> None:
                while True:
                    events = line.engine.take_events(100)
                    line.engine.answer([(one, ACCEPTED if isinstance(one, Began) else OVER) for one in events])
                    await asyncio.sleep(0.005)

            answering = asyncio.create_task(answer())
            taken = first
            while len(ended) < 20:
                for command in taken:
                    asked.add(asyncio.create_task(carry_out(command.ordinal, "a", again=command.again)))
                taking = asyncio.create_task(worker.take(10))
                while not taking.done() and len(ended) < 20:
                    await asyncio.wait({taking}, timeout=0.05)
                taking.cancel()
                await asyncio.wait({taking})
                taken = [] if taking.cancelled() else taking.result()
            await until(lambda: is_lost(line, *range(20)))
            answering.cancel()
            await asyncio.wait({answering, *asked})

    with nats_peer(tmp_path, nodes=3) as nats:
        run(story())
