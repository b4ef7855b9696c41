"""What every line between engine and worker must do. A line joins by a factory that opens both its ends."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec
import pytest

from builders import NOW, after
from fleetcron.dispatch.contract import Began, Command, EngineEnd, Event, Settled, Submitted, WorkerEnd
from fleetcron.dispatch.local import LocalLine
from fleetcron.domain.execution import ResultCode
from fleetcron.domain.task import TaskType
from fleetcron.errors import Unavailable

SECONDS_MAX = 20.0
_T = TypeVar("_T")


class Ends(NamedTuple):
    engine: EngineEnd
    worker: WorkerEnd


def local() -> Ends:
    line = LocalLine()
    return Ends(engine=line, worker=line)


@pytest.fixture(params=[local])
def ends(request: pytest.FixtureRequest) -> Ends:
    opened: Ends = request.param()
    return opened


def run(story: Coroutine[Any, Any, _T]) -> _T:
    """See a story through, in bounded time."""
    return asyncio.run(asyncio.wait_for(story, SECONDS_MAX))


def a_command(ordinal: int = 1, **fields: object) -> Command:
    command = Command(
        execution_id="e1",
        ordinal=ordinal,
        server_id=f"s{ordinal}",
        endpoint="lab",
        handle=f"h{ordinal}",
        task_type=TaskType.RESTART_SERVER,
        enforcement=True,
        start_until=after(300),
    )
    return msgspec.structs.replace(command, **fields)


def began(ordinal: int = 1) -> Began:
    return Began(execution_id="e1", ordinal=ordinal, began_at=NOW, settle_until=after(900), boot_marker="b", sends=1)


def settled(ordinal: int = 1) -> Settled:
    return Settled(execution_id="e1", ordinal=ordinal, ended_at=NOW, result_code=ResultCode.FAILED, result_message="x")


async def events_of(engine: EngineEnd, count: int) -> list[Event]:
    """The next ``count`` events, taken as the engine takes them."""
    taken: list[Event] = []
    while len(taken) < count:
        taken += engine.take_events(count - len(taken))
        await asyncio.sleep(0.001)
    return taken


async def met(ends: Ends, commands: Sequence[Command]) -> None:
    """Publish, and let the worker take them all: from here on it can be answered."""
    ends.engine.publish(commands)
    taken = 0
    while taken < len(commands):
        taken += len(await ends.worker.take(len(commands)))


async def answer_of(said: asyncio.Task[None]) -> str | None:
    """What a report came to: None when it is committed, the reason when it is not."""
    try:
        await said
    except Unavailable as error:
        return error.reason
    return None


def test_commands_are_taken_whole_and_in_the_order_of_their_publication(ends: Ends) -> None:
    left = a_command(2, began_at=NOW, settle_until=after(900), boot_marker="b", ticket='{"é": "\\u0000"}', sends=2)

    async def story() -> list[Command]:
        ends.engine.publish([a_command(1), left])
        ends.engine.publish([a_command(3)])
        taken: list[Command] = []
        while len(taken) < 3:
            taken += await ends.worker.take(10)
        return taken

    assert run(story()) == [a_command(1), left, a_command(3)]


def test_no_more_are_taken_than_asked_for_and_none_is_lost(ends: Ends) -> None:
    async def story() -> list[list[Command]]:
        ends.engine.publish(a_command(ordinal) for ordinal in range(1, 6))
        taken: list[list[Command]] = []
        while sum(map(len, taken)) < 5:
            taken.append(await ends.worker.take(2))
        return taken

    taken = run(story())
    assert max(map(len, taken)) <= 2
    assert [command.ordinal for some in taken for command in some] == [1, 2, 3, 4, 5]


def test_a_worker_that_waits_gets_what_another_thread_publishes(ends: Ends) -> None:
    async def story() -> list[Command]:
        taking = asyncio.create_task(ends.worker.take(1))
        await asyncio.sleep(0)
        await asyncio.to_thread(ends.engine.publish, [a_command()])
        return await taking

    assert run(story()) == [a_command()]


def test_a_command_that_is_live_is_not_handed_out_again(ends: Ends) -> None:
    async def story() -> list[Command]:
        await met(ends, [a_command(1)])
        ends.engine.publish([a_command(1)])
        ends.engine.publish([a_command(2), a_command(2)])
        ends.engine.publish([a_command(3)])
        taken: list[Command] = []
        while a_command(3) not in taken:
            taken += await ends.worker.take(10)
        return taken

    assert run(story()) == [a_command(2), a_command(3)]


def test_a_command_is_live_from_its_publication_until_its_end_is_committed(ends: Ends) -> None:
    async def story() -> None:
        assert not ends.engine.is_live(("e1", 1))
        await met(ends, [a_command(1), a_command(2)])
        assert ends.engine.live_count() == 2
        for event in (began(), Submitted(execution_id="e1", ordinal=1, ticket="t"), settled()):
            assert ends.engine.is_live(("e1", 1))
            said = asyncio.create_task(ends.worker.report(event))
            taken = await events_of(ends.engine, 1)
            assert ends.engine.is_live(("e1", 1)), "said is not committed"
            ends.engine.confirm(taken)
            await said
        assert not ends.engine.is_live(("e1", 1))
        assert ends.engine.is_live(("e1", 2))
        assert ends.engine.live_count() == 1

    run(story())


def test_a_report_returns_only_when_it_is_committed(ends: Ends) -> None:
    async def story() -> None:
        await met(ends, [a_command()])
        said = asyncio.create_task(ends.worker.report(began()))
        taken = await events_of(ends.engine, 1)
        await asyncio.sleep(0)
        assert not said.done()
        ends.engine.confirm(taken)
        assert await answer_of(said) is None

    run(story())


def test_a_rejected_report_raises_with_the_reason_and_frees_its_command(ends: Ends) -> None:
    async def story() -> None:
        await met(ends, [a_command()])
        said = asyncio.create_task(ends.worker.report(began()))
        ends.engine.reject(await events_of(ends.engine, 1), "the subtask is over")
        assert await answer_of(said) == "the subtask is over"
        assert not ends.engine.is_live(("e1", 1))

    run(story())


def test_each_report_gets_its_own_answer(ends: Ends) -> None:
    async def story() -> list[str | None]:
        await met(ends, [a_command(ordinal) for ordinal in range(1, 5)])
        said = [asyncio.create_task(ends.worker.report(began(ordinal))) for ordinal in range(1, 5)]
        taken = await events_of(ends.engine, 4)
        ends.engine.reject([event for event in taken if event.ordinal % 2], "odd")
        ends.engine.confirm([event for event in taken if event.ordinal % 2 == 0])
        return [await answer_of(one) for one in said]

    assert run(story()) == ["odd", None, "odd", None]


def test_events_come_once_in_the_order_in_which_they_were_reported(ends: Ends) -> None:
    async def story() -> list[list[Event]]:
        await met(ends, [a_command(ordinal) for ordinal in range(1, 4)])
        said = []
        for event in (began(1), began(2), settled(3)):
            said.append(asyncio.create_task(ends.worker.report(event)))
            await asyncio.sleep(0)
        taken = [await events_of(ends.engine, 2), await events_of(ends.engine, 1), ends.engine.take_events(10)]
        ends.engine.confirm([event for some in taken for event in some])
        await asyncio.gather(*said)
        return taken

    assert run(story()) == [[began(1), began(2)], [settled(3)], []]


def test_a_command_that_was_freed_can_be_handed_out_again(ends: Ends) -> None:
    async def story() -> list[Command]:
        await met(ends, [a_command()])
        said = asyncio.create_task(ends.worker.report(began()))
        ends.engine.reject(await events_of(ends.engine, 1), "no")
        await answer_of(said)
        ends.engine.publish([a_command(sends=1)])
        return await ends.worker.take(1)

    assert run(story()) == [a_command(sends=1)]


def test_an_end_that_no_worker_reported_frees_its_command(ends: Ends) -> None:
    ends.engine.publish([a_command()])
    ends.engine.confirm([settled()])
    assert not ends.engine.is_live(("e1", 1))


def test_whoever_reported_and_is_gone_needs_no_answer(ends: Ends) -> None:
    async def story() -> None:
        await met(ends, [a_command(1), a_command(2)])
        gone = asyncio.create_task(ends.worker.report(began(1)))
        stays = asyncio.create_task(ends.worker.report(began(2)))
        taken = await events_of(ends.engine, 2)
        gone.cancel()
        ends.engine.confirm(taken)
        assert await answer_of(stays) is None

    run(story())


def test_a_wait_ends_when_something_is_reported(ends: Ends) -> None:
    async def story() -> None:
        await met(ends, [a_command()])
        waiting = asyncio.create_task(asyncio.to_thread(ends.engine.wait, SECONDS_MAX))
        said = asyncio.create_task(ends.worker.report(began()))
        await asyncio.wait_for(waiting, SECONDS_MAX / 2)
        ends.engine.confirm(await events_of(ends.engine, 1))
        await said

    run(story())


def ended_by(wake: Callable[[], None], engine: EngineEnd) -> float:
    """How long a wait took that ``wake`` was to end."""
    began_at = time.monotonic()
    waking = threading.Thread(target=wake)
    waking.start()
    engine.wait(SECONDS_MAX)
    waking.join()
    return time.monotonic() - began_at


def test_a_wait_ends_when_another_thread_wakes_it_whoever_comes_first(ends: Ends) -> None:
    assert ended_by(ends.engine.wake, ends.engine) < SECONDS_MAX / 2
    ends.engine.wake()
    began_at = time.monotonic()
    ends.engine.wait(SECONDS_MAX)
    assert time.monotonic() - began_at < SECONDS_MAX / 2


def test_a_wait_ends_when_its_time_is_over(ends: Ends) -> None:
    began_at = time.monotonic()
    ends.engine.wait(0.05)
    assert time.monotonic() - began_at >= 0.04
