"""What every driver must do. A driver joins by a bench: a small world of servers that it can be opened on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from fleetcron.domain.execution import Evidence
from fleetcron.domain.fleet import Endpoint, Power
from fleetcron.domain.task import TaskType
from fleetcron.drivers.contract import Driver, Observation, Poll, Progress, Request
from fleetcron.drivers.registry import DRIVER_NAMES, open_driver
from fleetcron.errors import Busy, DriverError, Permanent, Retryable

WAIT_SECONDS_MAX = 30
_T = TypeVar("_T")


class World(StrEnum):
    """How the servers of a bench behave; in each of them they are on to begin with."""

    SOUND = "sound"
    SLOW = "slow"  # an operation ends only after ``let_go``
    FAILING = "failing"  # an operation is taken and comes to nothing
    UNREACHABLE = "unreachable"


class Bench(Protocol):
    """A world that outlives the drivers opened on it."""

    def open(self, world: World) -> Driver: ...
    def let_go(self) -> None: ...
    def pass_time(self) -> None: ...


class SimulatedBench:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._now = datetime(2026, 1, 1, tzinfo=UTC)

    def open(self, world: World) -> Driver:
        settings: dict[World, dict[str, object]] = {
            World.SOUND: {},
            World.SLOW: {"boot_seconds": [60, 60], "stop_seconds": [60, 60]},
            World.FAILING: {"failure_probability": 1},
            World.UNREACHABLE: {"unreachable_probability": 1},
        }
        endpoint = Endpoint(name="bench", driver="simulated", settings=settings[world])
        return open_driver(endpoint, state_dir=self._folder, clock=lambda: self._now)

    def let_go(self) -> None:
        self._now += timedelta(minutes=10)

    def pass_time(self) -> None:
        self._now += timedelta(seconds=0.5)


LAB = """#!/bin/sh
# A fleet in a folder: for each server the number of its boots, and a mark while it is off.
set -eu
verb=$1 handle=$2
cd "$(dirname "$0")"
mkdir -p off boots notices
boots=$(cat "boots/$handle" 2>/dev/null || echo 0)
booted() { rm -f "off/$handle"; echo $((boots + 1)) > "boots/$handle"; }
if [ "$LAB_WORLD" = unreachable ]; then echo "no route to $handle" >&2; exit 1; fi
case $verb in
    observe)
        if [ -e "off/$handle" ]; then echo power=off; else echo power=on; fi
        echo "boot_marker=boot-$boots"
        echo users=0
        exit ;;
    notify) printf %s "$3" > "notices/$handle"; exit ;;
esac
if [ "$LAB_WORLD" = failing ]; then echo "the BMC said no" >&2; exit 3; fi
if [ "$LAB_WORLD" = slow ]; then while [ ! -e go ]; do sleep 0.01; done; fi
case $verb in
    start) if [ -e "off/$handle" ]; then booted; fi ;;
    stop) touch "off/$handle" ;;
    *) booted ;;
esac
"""


class CommandBench:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lab = folder / "lab"
        self._lab.write_text(LAB)

    def open(self, world: World) -> Driver:
        verbs = ("observe", "start", "stop", "restart", "reinstall")
        settings: dict[str, object] = {verb: ["/bin/sh", str(self._lab), verb, "{handle}"] for verb in verbs}
        settings |= {
            "notify": ["/bin/sh", str(self._lab), "notify", "{handle}", "{text}"],
            "environment": {"LAB_WORLD": world},
            "counts_users": True,
            "marks_boots": True,
        }
        endpoint = Endpoint(name="bench", driver="command", settings=settings)
        return open_driver(endpoint, state_dir=self._folder, clock=lambda: datetime.now(UTC))

    def let_go(self) -> None:
        (self._folder / "go").touch()

    def pass_time(self) -> None:
        """Leave it to the real clock."""


BENCHES: dict[str, Callable[[Path], Bench]] = {"simulated": SimulatedBench, "command": CommandBench}
EVIDENCE = {
    TaskType.START_SERVER: Evidence.POWER_SEEN,
    TaskType.STOP_SERVER: Evidence.POWER_SEEN,
    TaskType.RESTART_SERVER: Evidence.BOOT_MARKER_CHANGED,
    TaskType.REINSTALL_OS: Evidence.BOOT_MARKER_CHANGED,
}


@pytest.fixture(params=sorted(BENCHES))
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    name: str = request.param
    return BENCHES[name](tmp_path)


def test_every_driver_has_a_bench() -> None:
    assert set(BENCHES) == set(DRIVER_NAMES)


def test_a_look_answers_for_every_server_that_was_asked_for(bench: Bench) -> None:
    async def act(driver: Driver) -> None:
        handles = [f"server-{number}" for number in range(20)]
        seen = await driver.observe(handles)
        assert list(seen) == handles
        assert {observation(seen[handle]).power for handle in handles} == {Power.ON}

    on(bench, World.SOUND, act)


def test_a_look_at_nothing_and_a_poll_of_nothing_answer_nothing(bench: Bench) -> None:
    async def act(driver: Driver) -> None:
        assert await driver.observe([]) == {}
        assert await driver.poll([]) == {}

    on(bench, World.SOUND, act)


def test_what_a_driver_promises_to_see_it_shows(bench: Bench) -> None:
    async def act(driver: Driver) -> None:
        seen = await look(driver)
        assert driver.capabilities.counts_users
        assert seen.users is not None
        assert driver.capabilities.marks_boots
        assert seen.boot_marker is not None

    on(bench, World.SOUND, act)


def test_looking_changes_nothing(bench: Bench) -> None:
    async def act(driver: Driver) -> None:
        assert await look(driver) == await look(driver)

    on(bench, World.SOUND, act)


@pytest.mark.parametrize("task_type", TaskType)
def test_an_operation_ends_done_with_its_evidence_and_the_server_shows_it(bench: Bench, task_type: TaskType) -> None:
    async def act(driver: Driver) -> None:
        if task_type in {TaskType.START_SERVER, TaskType.REINSTALL_OS}:
            await carry_out(bench, driver, TaskType.STOP_SERVER)
        before = await look(driver)
        answer = await carry_out(bench, driver, task_type)
        after = await look(driver)
        assert answer == Poll(progress=Progress.DONE, evidence=EVIDENCE[task_type])
        assert after.power is (Power.OFF if task_type is TaskType.STOP_SERVER else Power.ON)
        assert not after.busy
        assert (after.boot_marker == before.boot_marker) is (task_type is TaskType.STOP_SERVER)

    on(bench, World.SOUND, act)


@pytest.mark.parametrize("task_type", [TaskType.START_SERVER, TaskType.STOP_SERVER])
def test_asking_for_what_already_is_ends_done(bench: Bench, task_type: TaskType) -> None:
    async def act(driver: Driver) -> None:
        await carry_out(bench, driver, task_type)
        before = await look(driver)
        assert (await carry_out(bench, driver, task_type)).progress is Progress.DONE
        assert await look(driver) == before

    on(bench, World.SOUND, act)


def test_an_operation_that_ended_is_told_the_same_way_again(bench: Bench) -> None:
    async def act(driver: Driver) -> None:
        ticket = await driver.submit(await request_for(driver, TaskType.RESTART_SERVER))
        first = await ended(bench, driver, ticket)
        assert await driver.poll([ticket]) == {ticket: first}

    on(bench, World.SOUND, act)


def test_many_operations_end_each_on_its_own_server(bench: Bench) -> None:
    async def act(driver: Driver) -> None:
        handles = [f"server-{number}" for number in range(12)]
        requests = [await request_for(driver, TaskType.STOP_SERVER, handle) for handle in handles[:6]]
        tickets = [await driver.submit(request) for request in requests]
        assert len(set(tickets)) == len(tickets)
        for ticket in tickets:
            assert (await ended(bench, driver, ticket)).progress is Progress.DONE
        seen = await driver.observe(handles)
        assert [observation(seen[handle]).power for handle in handles] == [Power.OFF] * 6 + [Power.ON] * 6

    on(bench, World.SOUND, act)


def test_a_submit_returns_before_the_operation_ends(bench: Bench) -> None:
    async def act(driver: Driver) -> None:
        ticket = await driver.submit(await request_for(driver, TaskType.RESTART_SERVER))
        assert await driver.poll([ticket]) == {ticket: Poll(progress=Progress.PENDING)}
        bench.let_go()
        assert (await ended(bench, driver, ticket)).progress is Progress.DONE

    on(bench, World.SLOW, act)


def test_a_server_in_the_middle_of_an_operation_takes_no_other(bench: Bench) -> None:
    async def act(driver: Driver) -> None:
        ticket = await driver.submit(await request_for(driver, TaskType.RESTART_SERVER, request_id="first"))
        second = await request_for(driver, TaskType.STOP_SERVER, request_id="second")
        with pytest.raises(Busy):
            await driver.submit(second)
        bench.let_go()
        assert (await ended(bench, driver, ticket)).evidence is Evidence.BOOT_MARKER_CHANGED
        assert (await look(driver)).power is Power.ON

    on(bench, World.SLOW, act)


@pytest.mark.parametrize("task_type", [TaskType.STOP_SERVER, TaskType.RESTART_SERVER])
def test_a_ticket_is_enough_for_another_process_to_go_on(bench: Bench, task_type: TaskType) -> None:
    async def first_process(driver: Driver) -> str:
        return await driver.submit(await request_for(driver, task_type))

    ticket = on(bench, World.SLOW, first_process)
    ticket.encode()

    async def second_process(driver: Driver) -> None:
        assert await driver.poll([ticket]) == {ticket: Poll(progress=Progress.PENDING)}
        bench.let_go()
        answer = await ended(bench, driver, ticket)
        assert answer == Poll(progress=Progress.DONE, evidence=EVIDENCE[task_type])

    on(bench, World.SLOW, second_process)


def test_an_operation_that_fails_says_why_and_leaves_the_server_alone(bench: Bench) -> None:
    async def act(driver: Driver) -> None:
        before = await look(driver)
        answer = await carry_out(bench, driver, TaskType.RESTART_SERVER)
        assert answer.progress is Progress.FAILED
        assert answer.reason
        assert answer.evidence is None
        assert await look(driver) == before

    on(bench, World.FAILING, act)


def test_a_server_that_cannot_be_seen_has_its_error_instead(bench: Bench) -> None:
    async def act(driver: Driver) -> None:
        seen = await driver.observe(["server-1", "server-2"])
        assert set(seen) == {"server-1", "server-2"}
        for error in seen.values():
            assert isinstance(error, Retryable)
            assert error.reason

    on(bench, World.UNREACHABLE, act)


def test_a_ticket_of_nobody_has_its_error_and_spoils_no_other(bench: Bench) -> None:
    async def act(driver: Driver) -> None:
        ticket = await driver.submit(await request_for(driver, TaskType.STOP_SERVER))
        await ended(bench, driver, ticket)
        answers = await driver.poll(["", "{}", "rubbish", ticket])
        assert all(isinstance(answers[text], Permanent) for text in ("", "{}", "rubbish"))
        assert answers[ticket] == Poll(progress=Progress.DONE, evidence=Evidence.POWER_SEEN)

    on(bench, World.SOUND, act)


def test_people_can_be_told(bench: Bench) -> None:
    async def act(driver: Driver) -> None:
        assert driver.capabilities.notifies
        await driver.notify("server", "Restart in 5 minutes; “save” $(now).\nThank you")

    on(bench, World.SOUND, act)


def test_people_who_cannot_be_reached_are_not_told_in_silence(bench: Bench) -> None:
    async def act(driver: Driver) -> None:
        with pytest.raises(DriverError):
            await driver.notify("server", "Restart in 5 minutes")

    on(bench, World.UNREACHABLE, act)


def test_a_driver_can_be_closed_twice(bench: Bench) -> None:
    on(bench, World.SOUND, lambda driver: driver.aclose())


def test_a_look_that_is_given_up_leaves_the_driver_usable(bench: Bench) -> None:
    async def act(driver: Driver) -> None:
        given_up = asyncio.create_task(drain(driver))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        assert (await look(driver)).power is Power.ON

    on(bench, World.SOUND, act)


def on(bench: Bench, world: World, act: Callable[[Driver], Awaitable[_T]]) -> _T:
    async def run() -> _T:
        driver = bench.open(world)
        try:
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                return await act(driver)
        finally:
            await driver.aclose()

    return asyncio.run(run())


async def drain(driver: Driver) -> None:
    await driver.observe([f"server-{number}" for number in range(40)])


async def look(driver: Driver, handle: str = "server") -> Observation:
    return observation((await driver.observe([handle]))[handle])


def observation(seen: Observation | DriverError) -> Observation:
    assert isinstance(seen, Observation), seen
    return seen


async def request_for(
    driver: Driver, task_type: TaskType, handle: str = "server", *, request_id: str = "request"
) -> Request:
    before = await look(driver, handle)
    return Request(
        request_id=request_id, task_type=task_type, handle=handle, forced=False, boot_marker=before.boot_marker
    )


async def carry_out(bench: Bench, driver: Driver, task_type: TaskType) -> Poll:
    return await ended(bench, driver, await driver.submit(await request_for(driver, task_type)))


async def ended(bench: Bench, driver: Driver, ticket: str) -> Poll:
    """Ask until the operation has ended; ``on`` bounds the wait."""
    while True:
        answer = (await driver.poll([ticket]))[ticket]
        assert isinstance(answer, Poll), answer
        if answer.progress is not Progress.PENDING:
            return answer
        bench.pass_time()
        await asyncio.sleep(0.005)
