from __future__ import annotations

import asyncio

import pytest

from conversation import a_command, began, events_of
from fleetcron.dispatch.contract import ACCEPTED, Event, Submitted, Verdict
from fleetcron.dispatch.nats import jetstream, reporter
from fleetcron.dispatch.nats.config import RECORDER
from fleetcron.dispatch.nats.jetstream import ACK, Puller
from fleetcron.dispatch.nats.letters import LETTER_BYTES_MAX, read_events
from nats_line import OVER, answer_of, connected, nats_config, nats_line, run, settled, told, until
from peers.nats import Nats


def test_a_verdict_that_was_lost_is_asked_for_again(nats: Nats, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> str | None:
        config = nats_config(nats)
        async with nats_line(config) as line, connected(nats.url) as client:
            worker = await line.worker()
            line.engine.publish([a_command()])
            await worker.take(1)
            await line.stop_engine()
            saying = asyncio.create_task(answer_of(worker.report(began())))
            puller = Puller(client, config.subjects.events, RECORDER)
            (first,) = await puller.wait(10)
            # The engine commits, and falls silent before it has said so.
            await client.publish(first.reply, ACK)
            (again,) = await puller.wait(10)
            assert read_events(first.data) == read_events(again.data)
            assert not saying.done()
            async with nats_line(config, shared=False) as other:
                await client.publish(again.reply, jetstream.NAK)
                events: list[Event] = await events_of(other.engine, 1)
                other.engine.answer([(events[0], ACCEPTED)])
                return await saying

    monkeypatch.setattr(reporter, "RESEND_SECONDS", 0.5)
    assert run(story()) is None


def test_what_waits_to_be_said_goes_in_one_message(nats: Nats) -> None:
    async def story() -> tuple[int, int]:
        config = nats_config(nats)
        async with nats_line(config) as line:
            worker = await line.worker()
            line.engine.publish(a_command(ordinal) for ordinal in range(100))
            taken = 0
            while taken < 100:
                taken += len(await worker.take(100))
            async with connected(nats.url) as client:
                before = (await client.jetstream().stream_info(config.subjects.events)).state.last_seq
                said = [asyncio.create_task(answer_of(worker.report(began(ordinal)))) for ordinal in range(100)]
                line.engine.answer([(event, ACCEPTED) for event in await events_of(line.engine, 100)])
                assert await asyncio.gather(*said) == [None] * 100
                after = (await client.jetstream().stream_info(config.subjects.events)).state.last_seq
            return before, after

    before, after = run(story())
    assert after - before < 20


def test_an_answer_to_another_incarnation_under_the_same_name_is_passed_over(nats: Nats) -> None:
    async def story() -> str | None:
        config = nats_config(nats)
        async with nats_line(config) as line, nats_line(config, shared=False) as namesake:
            first, second = await line.worker(), await namesake.worker()
            line.engine.publish([a_command(1), a_command(2)])
            await until(lambda: line.engine.lost([("e1", 1), ("e1", 2)]) == [])
            (one,) = await first.take(1)
            (two,) = await second.take(1)
            await namesake.stop_engine()
            refused = asyncio.create_task(answer_of(second.report(began(two.ordinal))))
            (event,) = await events_of(line.engine, 1)
            accepted = asyncio.create_task(answer_of(first.report(began(one.ordinal))))
            (other,) = await events_of(line.engine, 1)
            line.engine.answer([(event, Verdict(refused="to the second")), (other, ACCEPTED)])
            assert await accepted is None
            return await refused

    assert run(story()) == "to the second"


def test_a_report_that_nobody_waits_for_any_more_does_not_keep_the_others(nats: Nats) -> None:
    async def story() -> str | None:
        async with nats_line(nats_config(nats)) as line:
            worker = await line.worker()
            line.engine.publish([a_command(1), a_command(2)])
            taken = 0
            while taken < 2:
                taken += len(await worker.take(2))
            gone, stays = (asyncio.create_task(answer_of(worker.report(began(ordinal)))) for ordinal in (1, 2))
            events = await events_of(line.engine, 2)
            gone.cancel()
            await asyncio.wait({gone})
            line.engine.answer([(event, ACCEPTED) for event in events])
            assert await stays is None
            return await told(line.engine, worker.report(settled(1)), OVER)

    assert run(story()) is None


def test_more_than_one_message_can_hold_is_said_in_several(nats: Nats, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> list[int]:
        async with nats_line(nats_config(nats)) as line:
            worker = await line.worker()
            line.engine.publish(a_command(ordinal) for ordinal in range(50))
            taken = 0
            while taken < 50:
                taken += len(await worker.take(50))
            said = [asyncio.create_task(answer_of(worker.report(began(ordinal)))) for ordinal in range(50)]
            order: list[int] = []
            while len(order) < 50:
                events = line.engine.take_events(10)
                order += [event.ordinal for event in events]
                line.engine.answer([(event, ACCEPTED) for event in events])
                await asyncio.sleep(0.001)
            assert await asyncio.gather(*said) == [None] * 50
            return order

    monkeypatch.setattr(reporter, "EVENTS_PER_BATCH_MAX", 7)
    monkeypatch.setattr(reporter, "BATCHES_UNANSWERED_MAX", 2)
    assert run(story()) == list(range(50))


def test_an_event_that_no_server_would_take_is_refused_and_keeps_nobody(nats: Nats) -> None:
    async def story() -> None:
        async with nats_line(nats_config(nats)) as line:
            worker, other = await line.worker(), await line.worker()
            line.engine.publish([a_command(1), a_command(2)])
            taken = [*await worker.take(1), *await worker.take(1)]
            long = Submitted(execution_id="e1", ordinal=1, attempt="a1", ticket="t" * LETTER_BYTES_MAX)
            assert await answer_of(worker.report(long)) == "the event is too long to be said"
            assert await told(line.engine, worker.report(began(2)), ACCEPTED) is None
            assert [worker.is_ours(command) for command in taken] == [False, True]
            (again,) = await other.take(1)
            assert again.ordinal == 1

    run(story())
