from __future__ import annotations

import asyncio
import logging
import time

import pytest

from builders import NOW
from conversation import a_command, began, events_of
from fleetcron.dispatch.contract import ACCEPTED, Command, Verdict
from fleetcron.dispatch.nats.config import NatsConfig
from fleetcron.dispatch.nats.worker import COMMANDS_PER_PULL_MAX, NatsWorkerLine
from fleetcron.errors import BadSettings, Unavailable
from nats_line import (
    ACK_WAIT_SECONDS,
    OVER,
    PATIENT_SECONDS,
    answer_of,
    connected,
    nats_config,
    nats_line,
    run,
    settled,
    told,
    until,
)
from peers.nats import Nats

ANOTHERS = Verdict(refused="another attempt carries it out")


WAITING = "site north: no engine has made its consumer yet; waiting"


@pytest.mark.parametrize(("site", "worker"), [("", "w1"), ("a.b", "w1"), ("default", "w 1"), ("default", "w*")])
def test_a_name_that_cannot_be_a_part_of_a_subject_is_refused(site: str, worker: str) -> None:
    with pytest.raises(BadSettings, match="letters, digits"):
        NatsWorkerLine(NatsConfig(), site=site, worker=worker, elapsed=time.monotonic)


def test_a_worker_that_comes_before_its_site_is_known_says_so_and_gets_the_first_command(
    nats: Nats, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def story() -> list[int]:
        async with nats_line(nats_config(nats)) as line:
            worker = await line.worker("north")
            taking = asyncio.create_task(worker.take(10))
            await until(lambda: worker.connected)
            await until(lambda: WAITING in caplog.messages)
            line.engine.publish([a_command(endpoint="attic")])
            return [command.ordinal for command in await taking]

    assert run(story()) == [1]
    assert caplog.messages.count(WAITING) == 1


def test_one_worker_does_not_take_a_whole_wave(nats: Nats) -> None:
    async def story() -> list[int]:
        async with nats_line(nats_config(nats)) as line:
            wave = 2 * COMMANDS_PER_PULL_MAX
            line.engine.publish(a_command(ordinal) for ordinal in range(wave))
            await until(lambda: line.engine.lost([("e1", wave - 1)]) == [])
            worker, taken = await line.worker(), [0]
            while sum(taken) < wave:
                taken.append(len(await worker.take(10_000)))
            return taken

    assert max(run(story())) == COMMANDS_PER_PULL_MAX


def test_what_is_held_longer_than_ack_wait_stays_ours(nats: Nats) -> None:
    async def story() -> None:
        async with nats_line(nats_config(nats, ack_wait_seconds=PATIENT_SECONDS)) as line:
            first, second = await line.worker(), await line.worker()
            line.engine.publish([a_command()])
            (command,) = await first.take(1)
            taking = asyncio.create_task(second.take(1))
            held_until = time.monotonic() + 1.25 * PATIENT_SECONDS
            while time.monotonic() < held_until:
                assert first.is_ours(command)
                await asyncio.wait({taking}, timeout=0.05)
            assert not taking.done()
            taking.cancel()
            await asyncio.wait({taking})

    run(story())


def test_beats_do_not_depend_on_the_loop_of_whoever_carries_out(nats: Nats) -> None:
    async def story() -> None:
        async with nats_line(nats_config(nats, ack_wait_seconds=PATIENT_SECONDS)) as line:
            worker = await line.worker()
            line.engine.publish([a_command()])
            (command,) = await worker.take(1)
            time.sleep(1.25 * PATIENT_SECONDS)  # noqa: ASYNC251  (a driver that blocks the loop is the point)
            assert worker.is_ours(command)
            assert await told(line.engine, worker.report(began()), ACCEPTED) is None

    run(story())


def test_a_crashed_workers_command_comes_to_another_soon_after_ack_wait(nats: Nats) -> None:
    async def story() -> float:
        async with nats_line(nats_config(nats)) as line:
            first, second = await line.worker(), await line.worker()
            line.engine.publish([a_command()])
            await first.take(1)
            crashed_at = time.monotonic()
            await line.crash(first)
            assert [command.again for command in await second.take(1)] == [True]
            return time.monotonic() - crashed_at

    assert run(story()) < ACK_WAIT_SECONDS + 1


def test_a_thawed_worker_never_again_says_that_what_it_held_is_its_own(nats: Nats) -> None:
    async def story() -> None:
        async with nats_line(nats_config(nats)) as line:
            first = await line.worker()
            line.engine.publish([a_command()])
            (command,) = await first.take(1)
            await line.freeze(first)
            assert first.is_ours(command)
            await until(lambda: not first.is_ours(command))
            await line.thaw(first)
            # Nobody else was there: it is given to the same worker anew, and that is another delivery.
            (again,) = await first.take(1)
            assert again.again
            assert (first.is_ours(command), first.is_ours(again)) == (False, True)
            with pytest.raises(Unavailable):
                await first.take_up(command, "a1")
            left = a_command(began_at=NOW)
            assert await told(line.engine, first.take_up(again, "a2"), Verdict(left=left)) == left
            with pytest.raises(Unavailable, match="another attempt"):
                await first.report(began(attempt="a1"))
            assert await told(line.engine, first.report(settled(attempt="a2")), OVER) is None

    run(story())


def test_a_report_is_given_up_when_the_delivery_is_no_longer_ours(nats: Nats) -> None:
    async def story() -> str | None:
        async with nats_line(nats_config(nats)) as line:
            first = await line.worker()
            line.engine.publish([a_command()])
            await first.take(1)
            saying = asyncio.create_task(answer_of(first.report(began())))
            await events_of(line.engine, 1)
            await line.freeze(first)
            (taken,) = await (await line.worker()).take(1)
            assert taken.again
            await line.thaw(first)
            return await saying

    assert run(story()) == "the command may have been given to another worker"


def test_a_closing_worker_hands_over_at_once_what_it_holds(nats: Nats) -> None:
    async def story() -> float:
        async with nats_line(nats_config(nats, ack_wait_seconds=60.0)) as line:
            first, second = await line.worker(), await line.worker()
            line.engine.publish([a_command(1), a_command(2)])
            held: list[Command] = []
            while len(held) < 2:
                held += await first.take(2)
            closed_at = time.monotonic()
            await asyncio.to_thread(first.close)
            assert not first.is_ours(held[0])
            again: list[Command] = []
            while len(again) < 2:
                again += await second.take(2)
            assert all(command.again for command in again)
            return time.monotonic() - closed_at

    assert run(story()) < 10


def test_whoever_is_refused_lets_the_other_attempt_be_for_as_long_as_ack_wait(nats: Nats) -> None:
    async def story() -> float:
        async with nats_line(nats_config(nats)) as line:
            worker = await line.worker()
            line.engine.publish([a_command()])
            (command,) = await worker.take(1)
            refused_at = time.monotonic()
            assert await told(line.engine, worker.report(began()), ANOTHERS) == ANOTHERS.refused
            assert not worker.is_ours(command)
            assert [again.again for again in await worker.take(1)] == [True]
            return time.monotonic() - refused_at

    assert run(story()) > ACK_WAIT_SECONDS * 0.9


def test_who_takes_up_and_is_not_told_what_was_left_gives_it_back(nats: Nats) -> None:
    async def story() -> str | object:
        async with nats_line(nats_config(nats, ack_wait_seconds=60.0)) as line:
            worker = await line.worker()
            line.engine.publish([a_command(began_at=NOW)])
            (command,) = await worker.take(1)
            said = await told(line.engine, worker.take_up(command, "a2"), ACCEPTED)
            assert [again.again for again in await worker.take(1)] == [True]
            return said

    assert run(story()) == "the engine did not say what was left"


def test_a_take_that_is_cancelled_with_its_commands_in_hand_gives_them_back(nats: Nats) -> None:
    async def story() -> None:
        async with nats_line(nats_config(nats, ack_wait_seconds=60.0)) as line:
            worker = await line.worker()
            for ordinal in range(10):
                taking = asyncio.create_task(worker.take(1))
                line.engine.publish([a_command(ordinal)])
                await asyncio.wait({taking}, timeout=0.001 * ordinal)
                taking.cancel()
                await asyncio.wait({taking})
                if taking.cancelled():
                    assert [command.ordinal for command in await worker.take(1)] == [ordinal]

    run(story())


def test_a_command_that_cannot_be_read_is_logged_and_stops_nobody(nats: Nats, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> list[int]:
        config = nats_config(nats)
        async with nats_line(config) as line:
            worker = await line.worker()
            line.engine.publish([a_command(1)])
            await worker.take(1)
            async with connected(nats.url) as client:
                subject = config.subjects.command("default", "simulated", ("e1", 2))
                await client.request(subject, b"rubbish", timeout=5)
            line.engine.publish([a_command(3)])
            taken = [command.ordinal for command in await worker.take(10)]
            await until(lambda: line.engine.lost([("e1", 2)]) == [("e1", 2)])
            return taken

    caplog.set_level(logging.ERROR)
    assert run(story()) == [3]
    assert "an unreadable command is dropped" in caplog.text
