"""The line inside one process; what every line must do is in tests/conformance."""

from __future__ import annotations

import asyncio
import threading

from builders import NOW, after, eventually
from fleetcron.dispatch.contract import Command, Settled
from fleetcron.dispatch.local import LocalLine
from fleetcron.domain.task import TaskType

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


async def settle_all(line: LocalLine, count: int) -> None:
    """A worker that ends each command as soon as it takes it."""
    said: list[asyncio.Task[None]] = []
    while len(said) < count:
        for command in await line.take(7):
            end = Settled(execution_id=command.execution_id, ordinal=command.ordinal, ended_at=NOW)
            said.append(asyncio.create_task(line.report(end)))
    await asyncio.gather(*said)


def test_what_was_published_before_the_worker_came_is_waiting_for_it() -> None:
    line = LocalLine()
    line.publish([a_command(1)])
    assert asyncio.run(line.take(10)) == [a_command(1)]


def test_a_worker_that_is_gone_is_told_nothing() -> None:
    line = LocalLine()
    line.publish([a_command(1)])
    asyncio.run(line.take(1))
    line.publish([a_command(2)])
    line.confirm([Settled(execution_id="e1", ordinal=1, ended_at=NOW)])
    assert (line.is_live(("e1", 1)), line.is_live(("e1", 2))) == (False, True)


def test_two_threads_lose_nothing_between_them() -> None:
    line = LocalLine()
    worker = threading.Thread(target=lambda: asyncio.run(settle_all(line, COMMANDS)))
    worker.start()
    settled: list[int] = []

    def all_settled() -> bool:
        line.wait(0.01)
        events = line.take_events(11)
        settled.extend(event.ordinal for event in events)
        line.confirm(events)
        return len(settled) >= COMMANDS

    for ordinal in range(1, COMMANDS + 1, 50):
        line.publish(a_command(number) for number in range(ordinal, ordinal + 50))
    eventually(all_settled)
    worker.join()
    assert sorted(settled) == list(range(1, COMMANDS + 1))
    assert line.live_count() == 0
