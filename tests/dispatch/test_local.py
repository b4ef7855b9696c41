"""The line inside one process; what every line must do is in tests/conformance."""

from __future__ import annotations

import asyncio
import threading

import pytest

from builders import NOW, after, eventually
from fleetcron.dispatch.contract import ACCEPTED, Began, Command, Settled, TakenUp, Verdict
from fleetcron.dispatch.local import LocalLine
from fleetcron.domain.execution import Reference
from fleetcron.domain.task import TaskType
from fleetcron.errors import Unavailable

COMMANDS = 2_000


def a_command(ordinal: int) -> Command:
    return Command(
        execution_id="e1",
        ordinal=ordinal,
        server_id=f"s{ordinal}",
        endpoint="lab",
        handle=f"h{ordinal}",
        task_type=TaskType.STOP_SERVER,
        enforcement=False,
        start_until=after(300),
    )


def an_end(ordinal: int) -> Settled:
    return Settled(execution_id="e1", ordinal=ordinal, attempt="a1", ended_at=NOW)


async def settle_all(line: LocalLine, count: int) -> None:
    """A worker that ends each command as soon as it takes it."""
    said: list[asyncio.Task[None]] = []
    while len(said) < count:
        said += [asyncio.create_task(line.report(an_end(command.ordinal))) for command in await line.take(7)]
    await asyncio.gather(*said)


def test_what_was_published_before_the_worker_came_is_waiting_for_it() -> None:
    line = LocalLine()
    line.publish([a_command(1)])
    assert asyncio.run(line.take(10)) == [a_command(1)]


def test_a_new_line_knows_of_nothing_that_an_earlier_one_handed_out() -> None:
    line = LocalLine()
    line.publish([a_command(1)])
    assert (line.lost([("e1", 1)]), LocalLine().lost([("e1", 1)])) == ([], [("e1", 1)])


def test_a_worker_that_is_gone_is_told_nothing() -> None:
    line = LocalLine()

    async def leave() -> None:
        await line.take(1)
        said = asyncio.create_task(line.report(an_end(1)))
        await asyncio.sleep(0)
        said.cancel()

    line.publish([a_command(1)])
    asyncio.run(leave())
    line.publish([a_command(2)])
    line.answer([(event, Verdict(over=True)) for event in line.take_events(10)])
    assert line.lost([("e1", 1), ("e1", 2)]) == [("e1", 1)]


@pytest.mark.parametrize(("over", "lost"), [(False, []), (True, [("e1", 1)])])
def test_the_late_word_of_one_who_gave_a_command_up_takes_it_from_nobody_unless_it_is_over(
    over: bool, lost: list[Reference]
) -> None:
    line = LocalLine()

    async def story() -> None:
        line.publish([a_command(1)])
        await line.take(1)
        began = Began(
            execution_id="e1",
            ordinal=1,
            attempt="a1",
            began_at=NOW,
            settle_until=after(900),
            boot_marker=None,
            sends=1,
        )
        said = asyncio.create_task(line.report(began))
        await asyncio.sleep(0)
        said.cancel()
        await line.hand_back(a_command(1))
        line.publish([a_command(1)])
        assert await line.take(1) == [a_command(1)]
        line.answer([(event, Verdict(refused="too late", over=over)) for event in line.take_events(10)])

    asyncio.run(story())
    assert line.lost([("e1", 1)]) == lost


def test_what_was_withdrawn_and_handed_out_anew_is_taken_once() -> None:
    line = LocalLine()
    line.publish([a_command(1), a_command(2)])
    line.withdraw([("e1", 1)])
    line.publish([a_command(1)])
    assert asyncio.run(line.take(10)) == [a_command(2), a_command(1)]


def test_a_taking_up_that_is_not_told_what_was_left_is_refused_and_lost() -> None:
    line = LocalLine()

    async def story() -> None:
        line.publish([a_command(1)])
        taking_up = asyncio.create_task(line.take_up((await line.take(1))[0], "a2"))
        await asyncio.sleep(0)
        events = line.take_events(10)
        assert events == [TakenUp(execution_id="e1", ordinal=1, attempt="a2")]
        line.answer([(events[0], ACCEPTED)])
        with pytest.raises(Unavailable, match="what was left"):
            await taking_up

    asyncio.run(story())
    assert line.lost([("e1", 1)]) == [("e1", 1)]


def test_two_threads_lose_nothing_between_them() -> None:
    line = LocalLine()
    worker = threading.Thread(target=lambda: asyncio.run(settle_all(line, COMMANDS)))
    worker.start()
    settled: list[int] = []

    def all_settled() -> bool:
        line.wait(0.01)
        events = line.take_events(11)
        settled.extend(event.ordinal for event in events)
        line.answer([(event, Verdict(over=True)) for event in events])
        return len(settled) >= COMMANDS

    for ordinal in range(1, COMMANDS + 1, 50):
        line.publish(a_command(number) for number in range(ordinal, ordinal + 50))
    eventually(all_settled)
    worker.join()
    references = [("e1", ordinal) for ordinal in range(1, COMMANDS + 1)]
    assert sorted(settled) == list(range(1, COMMANDS + 1))
    assert line.lost(references) == references
