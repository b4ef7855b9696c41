"""What every line between engine and worker must do.

A line joins by a function that opens it: given pytest's ``request``, it returns an asynchronous context manager whose
value is a ``Line``, new and empty. It stands in ``LINES``; one to which several workers can be connected stands in
``SHARED_LINES`` too and its value is a ``SharedLine``. The endpoint ``lab`` is at the site ``default``, ``attic`` at
``north``; the driver of both is ``simulated``. Whatever a line does not do at once is waited for, and a command that
is lost is published again, as the engine does.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol, TypeVar

import msgspec
import pytest

from builders import NOW, after
from conversation import a_command, began, events_of
from fleetcron.dispatch.contract import (
    ACCEPTED,
    Command,
    EngineEnd,
    Event,
    Settled,
    Submitted,
    TakenUp,
    Verdict,
    WorkerEnd,
)
from fleetcron.dispatch.local import LocalLine
from fleetcron.domain.execution import ResultCode
from fleetcron.errors import Unavailable
from nats_line import nats_config, nats_line

SECONDS_MAX = 60.0
WAIT_SECONDS = 20.0
OVER = Verdict(over=True)
TOO_LATE = Verdict(refused="the subtask is over", over=True)
NOT_YOURS = Verdict(refused="another attempt carries it out")
_T = TypeVar("_T")


class Line(Protocol):
    """A line that is open."""

    @property
    def engine(self) -> EngineEnd:
        """The engine's end."""
        ...

    async def worker(self, site: str = "default") -> WorkerEnd:
        """A worker's end; a line that is not shared is asked for one only."""
        ...


class SharedLine(Line, Protocol):
    """A line to which several workers are connected, each as if in a process of its own."""

    async def crash(self, worker: WorkerEnd) -> None:
        """End this worker's process as kill -9 does: it says nothing more, and its connection breaks."""
        ...

    async def freeze(self, worker: WorkerEnd) -> None:
        """Stop this worker's process where it is, until ``thaw``: it says and hears nothing."""
        ...

    async def thaw(self, worker: WorkerEnd) -> None:
        """Let a frozen process go on."""
        ...


class Local:
    """The line in one process, as a ``Line``."""

    def __init__(self) -> None:
        self._line = LocalLine()

    @property
    def engine(self) -> EngineEnd:
        return self._line

    async def worker(self, site: str = "default") -> WorkerEnd:
        assert site == "default"
        return self._line


@asynccontextmanager
async def local(_: pytest.FixtureRequest) -> AsyncIterator[Line]:
    yield Local()


@asynccontextmanager
async def over_nats(request: pytest.FixtureRequest) -> AsyncIterator[SharedLine]:
    async with nats_line(nats_config(request.getfixturevalue("nats"))) as line:
        yield line


Open = Callable[[], AbstractAsyncContextManager[Any]]
LINES: list[Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[Line]]] = [local, over_nats]
SHARED_LINES: list[Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[SharedLine]]] = [over_nats]


@pytest.fixture(params=LINES)
def opened(request: pytest.FixtureRequest) -> Open:
    """Open the line."""
    return lambda: request.param(request)


@pytest.fixture(params=SHARED_LINES)
def shared(request: pytest.FixtureRequest) -> Open:
    """Open the line for several workers."""
    return lambda: request.param(request)


def run(story: Coroutine[Any, Any, _T]) -> _T:
    """See a story through, in bounded time."""
    return asyncio.run(asyncio.wait_for(story, SECONDS_MAX))


def alone(opened: Open, story: Callable[[EngineEnd, WorkerEnd], Awaitable[_T]]) -> _T:
    """See through a story of an engine and one worker."""

    async def told() -> _T:
        async with opened() as line:
            return await story(line.engine, await line.worker())

    return run(told())


def among(shared: Open, story: Callable[[SharedLine], Awaitable[_T]]) -> _T:
    """See through a story of an engine and several workers."""

    async def told() -> _T:
        async with shared() as line:
            return await story(line)

    return run(told())


def submitted(ordinal: int = 1, attempt: str = "a1") -> Submitted:
    return Submitted(execution_id="e1", ordinal=ordinal, attempt=attempt, ticket='{"é": "\\u0000"}')


def settled(ordinal: int = 1, attempt: str = "a1") -> Settled:
    return Settled(
        execution_id="e1",
        ordinal=ordinal,
        attempt=attempt,
        ended_at=NOW,
        result_code=ResultCode.FAILED,
        result_message="x",
    )


def left(ordinal: int = 1) -> Command:
    """The command as ``began`` and ``submitted`` leave it."""
    return a_command(
        ordinal, began_at=NOW, settle_until=after(900), boot_marker="b", ticket='{"é": "\\u0000"}', sends=1
    )


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what comes by itself; the end of the story bounds it."""
    while not await asyncio.to_thread(holds):  # noqa: ASYNC110  (there is nobody who could set an event)
        await asyncio.sleep(0.005)


def is_lost(engine: EngineEnd, ordinal: int = 1) -> bool:
    """Whether the engine knows that nobody has the command."""
    try:
        return engine.lost([("e1", ordinal)]) == [("e1", ordinal)]
    except Unavailable:
        return False


def is_out(engine: EngineEnd, ordinal: int = 1) -> bool:
    """Whether the engine knows that the command is handed out."""
    try:
        return engine.lost([("e1", ordinal)]) == []
    except Unavailable:
        return False


async def takes(worker: WorkerEnd, last: Command) -> list[Command]:
    """What a worker takes up to ``last``."""
    taken: list[Command] = []
    while last not in taken:
        taken += await worker.take(10)
    return taken


async def met(engine: EngineEnd, worker: WorkerEnd, commands: Sequence[Command]) -> list[Command]:
    """Publish, and let the worker take them all; these very commands it is asked about later."""
    engine.publish(commands)
    taken: list[Command] = []
    while len(taken) < len(commands):
        taken += await worker.take(len(commands))
    assert taken == list(commands)
    return taken


async def comes(engine: EngineEnd, worker: WorkerEnd, command: Command) -> Command:
    """The next command that the worker takes, while the engine publishes ``command`` whenever it is lost."""
    taking = asyncio.create_task(worker.take(1))
    while not taking.done():
        if await asyncio.to_thread(is_lost, engine, command.ordinal):
            engine.publish([command])
        await asyncio.wait({taking}, timeout=0.02)
    (taken,) = taking.result()
    return taken


async def answer_of(saying: Awaitable[_T]) -> _T | str:
    """What a report or a taking-up came to: its value if it is committed, the reason if it is not."""
    try:
        return await saying
    except Unavailable as error:
        return error.reason


async def told(engine: EngineEnd, saying: Coroutine[Any, Any, _T], verdict: Verdict) -> tuple[Event, _T | str]:
    """The event that the engine got, and what came of it under this verdict."""
    said = asyncio.create_task(answer_of(saying))
    (event,) = await events_of(engine, 1)
    engine.answer([(event, verdict)])
    return event, await said


# Commands out


def test_commands_are_taken_whole_and_in_the_order_of_their_publication(opened: Open) -> None:
    async def story(engine: EngineEnd, worker: WorkerEnd) -> list[Command]:
        engine.publish([a_command(1), left(2)])
        engine.publish([a_command(3)])
        return await takes(worker, a_command(3))

    assert alone(opened, story) == [a_command(1), left(2), a_command(3)]


def test_no_more_are_taken_than_asked_for_and_none_is_lost(opened: Open) -> None:
    async def story(engine: EngineEnd, worker: WorkerEnd) -> list[list[Command]]:
        engine.publish(a_command(ordinal) for ordinal in range(1, 6))
        taken: list[list[Command]] = []
        while sum(map(len, taken)) < 5:
            taken.append(await worker.take(2))
        return taken

    taken = alone(opened, story)
    assert {len(some) for some in taken} <= {1, 2}
    assert [command.ordinal for some in taken for command in some] == [1, 2, 3, 4, 5]


def test_a_worker_that_waits_gets_what_another_thread_publishes(opened: Open) -> None:
    async def story(engine: EngineEnd, worker: WorkerEnd) -> list[Command]:
        taking = asyncio.create_task(worker.take(1))
        await asyncio.sleep(0)
        await asyncio.to_thread(engine.publish, [a_command()])
        return await taking

    assert alone(opened, story) == [a_command()]


def test_a_worker_that_stops_waiting_takes_nothing_away(opened: Open) -> None:
    async def story(engine: EngineEnd, worker: WorkerEnd) -> Command:
        taking = asyncio.create_task(worker.take(1))
        await asyncio.sleep(0)
        taking.cancel()
        await asyncio.wait({taking})
        return await comes(engine, worker, a_command())

    assert msgspec.structs.replace(alone(opened, story), again=False) == a_command()


def test_a_command_that_is_published_twice_is_handed_out_once(opened: Open) -> None:
    async def story(engine: EngineEnd, worker: WorkerEnd) -> list[Command]:
        await met(engine, worker, [a_command(1)])
        engine.publish([a_command(1)])
        engine.publish([a_command(2), a_command(2)])
        engine.publish([a_command(3)])
        return await takes(worker, a_command(3))

    assert alone(opened, story) == [a_command(2), a_command(3)]


def test_a_command_is_lost_before_its_publication_and_not_after_it(opened: Open) -> None:
    async def story(engine: EngineEnd, worker: WorkerEnd) -> None:
        await until(lambda: is_lost(engine))
        engine.publish([a_command()])
        await until(lambda: is_out(engine))
        assert await worker.take(10) == [a_command()]
        assert is_out(engine)

    alone(opened, story)


def test_those_that_are_lost_are_told_from_those_that_are_not(opened: Open) -> None:
    async def story(engine: EngineEnd, worker: WorkerEnd) -> list[int]:
        await met(engine, worker, [a_command(ordinal) for ordinal in (2, 3, 5)])
        references = [("e1", ordinal) for ordinal in range(1, 7)] + [("e2", 2)]
        lost = await asyncio.to_thread(engine.lost, references)
        assert ("e2", 2) in lost
        return sorted(ordinal for execution_id, ordinal in lost if execution_id == "e1")

    assert alone(opened, story) == [1, 4, 6]


def test_a_command_that_is_withdrawn_is_not_handed_out(opened: Open) -> None:
    async def story(engine: EngineEnd, worker: WorkerEnd) -> list[Command]:
        engine.publish([a_command(1), a_command(2)])
        await until(lambda: is_out(engine, 2))
        engine.withdraw([("e1", 1), ("e1", 7)])
        await until(lambda: is_lost(engine))
        assert is_out(engine, 2)
        engine.publish([a_command(3)])
        return await takes(worker, a_command(3))

    assert alone(opened, story) == [a_command(2), a_command(3)]


def test_a_command_that_was_withdrawn_can_be_handed_out_anew(opened: Open) -> None:
    async def story(engine: EngineEnd, worker: WorkerEnd) -> Command:
        engine.publish([a_command()])
        await until(lambda: is_out(engine))
        engine.withdraw([("e1", 1)])
        await until(lambda: is_lost(engine))
        return await comes(engine, worker, a_command(sends=1))

    assert alone(opened, story) == a_command(sends=1)


def test_whoever_holds_what_is_withdrawn_can_still_report_and_be_answered(opened: Open) -> None:
    async def story(engine: EngineEnd, worker: WorkerEnd) -> str | None:
        await met(engine, worker, [a_command()])
        engine.withdraw([("e1", 1)])
        await until(lambda: is_lost(engine))
        return (await told(engine, worker.report(began()), TOO_LATE))[1]

    assert alone(opened, story) == "the subtask is over"


# Events in, verdicts back


@pytest.mark.parametrize("event", [began(), submitted(), settled()], ids=lambda event: type(event).__name__)
def test_a_report_arrives_whole_and_returns_only_when_it_is_committed(opened: Open, event: Event) -> None:
    async def story(engine: EngineEnd, worker: WorkerEnd) -> None:
        await met(engine, worker, [a_command()])
        said = asyncio.create_task(answer_of(worker.report(event)))
        taken = await events_of(engine, 1)
        assert taken == [event]
        await asyncio.sleep(0.05)
        assert not said.done()
        engine.answer([(taken[0], ACCEPTED)])
        assert await said is None

    alone(opened, story)


@pytest.mark.parametrize("verdict", [TOO_LATE, NOT_YOURS], ids=["over", "not yours"])
@pytest.mark.parametrize("event", [began(), submitted(), settled()], ids=lambda event: type(event).__name__)
def test_a_refused_report_raises_with_the_reason_and_frees_its_command(
    opened: Open, event: Event, verdict: Verdict
) -> None:
    async def story(engine: EngineEnd, worker: WorkerEnd) -> str | None:
        await met(engine, worker, [a_command()])
        said = (await told(engine, worker.report(event), verdict))[1]
        if verdict.over:
            await until(lambda: is_lost(engine))
            engine.publish([a_command(2)])
            assert await worker.take(10) == [a_command(2)]
        else:
            again = await comes(engine, worker, left())
            assert again.reference == ("e1", 1)
            assert again.again or again == left()
        return said

    assert alone(opened, story) == verdict.refused


def test_a_command_stays_handed_out_until_its_end_is_committed(opened: Open) -> None:
    async def story(engine: EngineEnd, worker: WorkerEnd) -> None:
        await met(engine, worker, [a_command(1), a_command(2)])
        steps: list[tuple[Event, Verdict]] = [(began(), ACCEPTED), (submitted(), ACCEPTED), (settled(), OVER)]
        for event, verdict in steps:
            said = asyncio.create_task(worker.report(event))
            taken = await events_of(engine, 1)
            assert is_out(engine), "said is not committed"
            engine.answer([(taken[0], verdict)])
            await said
        await until(lambda: is_lost(engine))
        assert is_out(engine, 2)

    alone(opened, story)


def test_each_report_gets_its_own_answer(opened: Open) -> None:
    async def story(engine: EngineEnd, worker: WorkerEnd) -> list[str | None]:
        await met(engine, worker, [a_command(ordinal) for ordinal in range(1, 5)])
        said = [asyncio.create_task(answer_of(worker.report(began(ordinal)))) for ordinal in range(1, 5)]
        taken = await events_of(engine, 4)
        engine.answer([(event, NOT_YOURS) for event in taken if event.ordinal % 2])
        engine.answer([(event, ACCEPTED) for event in taken if event.ordinal % 2 == 0])
        return [await one for one in said]

    assert alone(opened, story) == [NOT_YOURS.refused, None, NOT_YOURS.refused, None]


def test_events_come_once_in_the_order_in_which_they_were_reported(opened: Open) -> None:
    async def story(engine: EngineEnd, worker: WorkerEnd) -> list[list[Event]]:
        await met(engine, worker, [a_command(ordinal) for ordinal in range(1, 4)])
        said = []
        for event in (began(1), began(2), settled(3)):
            said.append(asyncio.create_task(worker.report(event)))
            await asyncio.sleep(0)
        taken = [await events_of(engine, 2), await events_of(engine, 1)]
        engine.answer([(event, OVER if isinstance(event, Settled) else ACCEPTED) for some in taken for event in some])
        await asyncio.gather(*said)
        return [*taken, engine.take_events(10)]

    assert alone(opened, story) == [[began(1), began(2)], [settled(3)], []]


def test_a_flood_of_reports_is_taken_in_bites_and_each_is_answered(opened: Open) -> None:
    async def story(engine: EngineEnd, worker: WorkerEnd) -> tuple[list[int], list[str | None]]:
        commands = [a_command(ordinal) for ordinal in range(1, 501)]
        await met(engine, worker, commands)
        said = [asyncio.create_task(answer_of(worker.report(began(command.ordinal)))) for command in commands]
        order: list[int] = []
        while len(order) < len(commands):
            bite = engine.take_events(64)
            assert len(bite) <= 64
            engine.answer([(event, ACCEPTED if event.ordinal % 3 else NOT_YOURS) for event in bite])
            order += [event.ordinal for event in bite]
            await asyncio.sleep(0.001)
        return order, [await one for one in said]

    order, answers = alone(opened, story)
    assert order == list(range(1, 501))
    assert answers == [None if ordinal % 3 else NOT_YOURS.refused for ordinal in order]


def test_whoever_reported_and_is_gone_needs_no_answer(opened: Open) -> None:
    async def story(engine: EngineEnd, worker: WorkerEnd) -> str | None:
        await met(engine, worker, [a_command(1), a_command(2)])
        gone = asyncio.create_task(worker.report(began(1)))
        stays = asyncio.create_task(answer_of(worker.report(began(2))))
        taken = await events_of(engine, 2)
        gone.cancel()
        engine.answer([(event, ACCEPTED) for event in taken])
        return await stays

    assert alone(opened, story) is None


# Taking up and handing back


def test_whoever_takes_up_learns_what_was_left_and_goes_on(opened: Open) -> None:
    async def story(engine: EngineEnd, worker: WorkerEnd) -> tuple[Event, Command | str]:
        (command,) = await met(engine, worker, [a_command(began_at=NOW)])
        said = await told(engine, worker.take_up(command, "a2"), Verdict(left=left()))
        assert is_out(engine)
        assert await told(engine, worker.report(settled(attempt="a2")), OVER) == (settled(attempt="a2"), None)
        await until(lambda: is_lost(engine))
        return said

    assert alone(opened, story) == (TakenUp(execution_id="e1", ordinal=1, attempt="a2"), left())


def test_what_is_over_cannot_be_taken_up_and_is_done_with(opened: Open) -> None:
    async def story(engine: EngineEnd, worker: WorkerEnd) -> Command | str:
        (command,) = await met(engine, worker, [a_command(began_at=NOW)])
        said = (await told(engine, worker.take_up(command, "a2"), TOO_LATE))[1]
        await until(lambda: is_lost(engine))
        engine.publish([a_command(2)])
        assert await worker.take(10) == [a_command(2)]
        return said

    assert alone(opened, story) == "the subtask is over"


def test_a_command_is_ours_when_it_is_taken_and_taken_up(opened: Open) -> None:
    async def story(engine: EngineEnd, worker: WorkerEnd) -> None:
        first, second = await met(engine, worker, [a_command(1), left(2)])
        assert worker.is_ours(first)
        _, taken_up = await told(engine, worker.take_up(second, "a2"), Verdict(left=left(2)))
        assert isinstance(taken_up, Command)
        assert worker.is_ours(taken_up)
        await told(engine, worker.report(began(1)), ACCEPTED)
        assert worker.is_ours(first)

    alone(opened, story)


def test_what_is_handed_back_comes_again(opened: Open) -> None:
    async def story(engine: EngineEnd, worker: WorkerEnd) -> Command:
        (command,) = await met(engine, worker, [a_command()])
        await told(engine, worker.report(began()), ACCEPTED)
        await worker.hand_back(command)
        return await comes(engine, worker, left())

    again = alone(opened, story)
    assert again.reference == ("e1", 1)
    assert again.again or again == left()


# Waiting


def test_a_wait_ends_when_something_is_reported(opened: Open) -> None:
    async def story(engine: EngineEnd, worker: WorkerEnd) -> None:
        await met(engine, worker, [a_command()])
        waiting = asyncio.create_task(asyncio.to_thread(engine.wait, WAIT_SECONDS))
        said = asyncio.create_task(worker.report(began()))
        await asyncio.wait_for(waiting, WAIT_SECONDS / 2)
        engine.answer([(event, ACCEPTED) for event in await events_of(engine, 1)])
        await said

    alone(opened, story)


def ended_by(wake: Callable[[], None], engine: EngineEnd) -> float:
    """How long a wait took that ``wake`` was to end."""
    began_at = time.monotonic()
    waking = threading.Thread(target=wake)
    waking.start()
    engine.wait(WAIT_SECONDS)
    waking.join()
    return time.monotonic() - began_at


def test_a_wait_ends_when_another_thread_wakes_it_whoever_comes_first(opened: Open) -> None:
    async def story(engine: EngineEnd, _: WorkerEnd) -> None:
        assert await asyncio.to_thread(ended_by, engine.wake, engine) < WAIT_SECONDS / 2
        engine.wake()
        assert await asyncio.to_thread(ended_by, lambda: None, engine) < WAIT_SECONDS / 2

    alone(opened, story)


def test_a_wait_ends_when_its_time_is_over(opened: Open) -> None:
    async def story(engine: EngineEnd, _: WorkerEnd) -> None:
        began_at = time.monotonic()
        await asyncio.to_thread(engine.wait, 0.05)
        assert time.monotonic() - began_at >= 0.04

    alone(opened, story)


# Several workers


def test_workers_of_one_site_share_its_commands(shared: Open) -> None:
    async def share(worker: WorkerEnd, taken: list[int], all_taken: asyncio.Event) -> None:
        while True:
            taken += [command.ordinal for command in await worker.take(1)]
            if len(taken) >= 40:
                all_taken.set()

    async def story(line: SharedLine) -> list[int]:
        taken: list[int] = []
        all_taken = asyncio.Event()
        sharing = [asyncio.create_task(share(await line.worker(), taken, all_taken)) for _ in range(3)]
        line.engine.publish(a_command(ordinal) for ordinal in range(1, 41))
        await all_taken.wait()
        for one in sharing:
            one.cancel()
        await asyncio.wait(sharing)
        return taken

    assert sorted(among(shared, story)) == list(range(1, 41))


def test_two_sites_do_not_see_each_others_commands(shared: Open) -> None:
    async def story(line: SharedLine) -> tuple[list[Command], list[Command]]:
        here, there = await line.worker(), await line.worker("north")
        line.engine.publish(
            [a_command(1), a_command(2, endpoint="attic"), a_command(3), a_command(4, endpoint="attic")]
        )
        return await takes(here, a_command(3)), await takes(there, a_command(4, endpoint="attic"))

    here, there = among(shared, story)
    assert [command.ordinal for command in here] == [1, 3]
    assert [command.ordinal for command in there] == [2, 4]


def test_a_worker_speaks_for_the_endpoints_of_its_site_only(shared: Open) -> None:
    async def story(line: SharedLine) -> list[tuple[bool, bool]]:
        said = []
        for ordinal, (site, endpoint) in enumerate((("default", "lab"), ("north", "attic")), start=1):
            worker = await line.worker(site)
            await met(line.engine, worker, [a_command(ordinal, endpoint=endpoint)])
            reporting = asyncio.create_task(answer_of(worker.report(began(ordinal))))
            (event,) = await events_of(line.engine, 1)
            said.append((line.engine.speaks_for(event, "lab"), line.engine.speaks_for(event, "attic")))
            line.engine.answer([(event, ACCEPTED)])
            await reporting
        return said

    assert among(shared, story) == [(True, False), (False, True)]


def test_each_worker_gets_the_answers_to_its_own_reports(shared: Open) -> None:
    async def story(line: SharedLine) -> list[str | None]:
        workers = [await line.worker(), await line.worker(), await line.worker("north")]
        for ordinal, worker in enumerate(workers, start=1):
            await met(line.engine, worker, [a_command(ordinal, endpoint="attic" if ordinal == 3 else "lab")])
        said = [
            asyncio.create_task(answer_of(worker.report(began(ordinal))))
            for ordinal, worker in enumerate(workers, start=1)
        ]
        for event in await events_of(line.engine, 3):
            line.engine.answer([(event, Verdict(refused=f"to {event.ordinal}"))])
        return [await one for one in said]

    assert among(shared, story) == ["to 1", "to 2", "to 3"]


def test_what_is_handed_back_goes_to_another_worker(shared: Open) -> None:
    async def story(line: SharedLine) -> list[Command]:
        first, second = await line.worker(), await line.worker()
        (command,) = await met(line.engine, first, [a_command()])
        await first.hand_back(command)
        return await second.take(10)

    assert among(shared, story) == [a_command(again=True)]


def test_what_a_crashed_worker_held_goes_to_another_and_is_taken_up(shared: Open) -> None:
    async def story(line: SharedLine) -> tuple[list[Command], Command | str]:
        first, second = await line.worker(), await line.worker()
        await met(line.engine, first, [a_command()])
        await told(line.engine, first.report(began()), ACCEPTED)
        await line.crash(first)
        taken = await second.take(10)
        assert second.is_ours(taken[0])
        said = await told(line.engine, second.take_up(taken[0], "a2"), Verdict(left=left()))
        await told(line.engine, second.report(settled(attempt="a2")), OVER)
        await until(lambda: is_lost(line.engine))
        return taken, said[1]

    assert among(shared, story) == ([a_command(again=True)], left())


def test_what_a_crashed_worker_had_said_is_heard(shared: Open) -> None:
    async def story(line: SharedLine) -> list[Event]:
        first = await line.worker()
        await met(line.engine, first, [a_command()])
        said = asyncio.create_task(answer_of(first.report(began())))
        taken = await events_of(line.engine, 1)
        await line.crash(first)
        line.engine.answer([(taken[0], ACCEPTED)])
        said.cancel()
        await asyncio.wait({said})
        return taken

    assert among(shared, story) == [began()]


def test_a_frozen_worker_knows_that_its_command_may_be_anothers_and_stays_refused(shared: Open) -> None:
    async def story(line: SharedLine) -> tuple[list[Command], str | None]:
        first, second = await line.worker(), await line.worker()
        (command,) = await met(line.engine, first, [a_command()])
        await told(line.engine, first.report(began()), ACCEPTED)
        await line.freeze(first)
        taken = await second.take(10)
        assert not first.is_ours(command)
        _, taken_up = await told(line.engine, second.take_up(taken[0], "a2"), Verdict(left=left()))
        assert isinstance(taken_up, Command)
        await line.thaw(first)
        late = asyncio.create_task(answer_of(first.report(submitted())))
        while not late.done():  # its own end of the line may refuse, or the engine
            line.engine.answer([(event, NOT_YOURS) for event in line.engine.take_events(10)])
            await asyncio.sleep(0.005)
        assert not first.is_ours(command)
        assert second.is_ours(taken_up)
        await told(line.engine, second.report(settled(attempt="a2")), OVER)
        await until(lambda: is_lost(line.engine))
        return taken, late.result()

    taken, late = among(shared, story)
    assert taken == [a_command(again=True)]
    assert late is not None
