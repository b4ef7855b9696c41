"""The worker: many commands at a time, each seen through to its end, whatever the others and the drivers do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import pytest

from builders import Clock
from fleetcron.dispatch.contract import Began, Command, Event, Settled
from fleetcron.dispatch.local import LocalLine
from fleetcron.domain import fleet
from fleetcron.domain.execution import RESULT_MESSAGE_LENGTH_MAX, Evidence, ResultCode
from fleetcron.drivers.contract import Capabilities, Observation, Poll, Request
from fleetcron.errors import DriverError
from fleetcron.worker.endpoint import Endpoint
from fleetcron.worker.limits import AttemptConfig
from fleetcron.worker.worker import Worker
from worker_bench import PENDING, Lab, a_command, begun, never, run


class Crowd(Lab):
    """A lab that counts how many of its servers are between submit and the end of the third poll."""

    def __init__(self) -> None:
        super().__init__()
        self.under_way: dict[str, int] = {}
        self.at_once_max = 0

    async def submit(self, request: Request) -> str:
        self.under_way[request.handle] = 3
        self.at_once_max = max(self.at_once_max, len(self.under_way))
        self.requests.append(request)
        return request.handle

    async def poll(self, tickets: Sequence[str]) -> Mapping[str, Poll | DriverError]:
        answers = dict(await super().poll(tickets))
        for ticket in tickets:
            self.under_way[ticket] -= 1
            if self.under_way[ticket]:
                answers[ticket] = PENDING
            else:
                del self.under_way[ticket]
        return answers


class Incapable(Lab):
    """A driver that breaks when it is asked what it can do."""

    @property
    def capabilities(self) -> Capabilities:
        raise ValueError("a bug " * 100)

    @capabilities.setter
    def capabilities(self, capabilities: Capabilities) -> None:
        pass


class Nonsensical(Lab):
    """A driver whose looks show what no contract knows."""

    async def observe(self, handles: Sequence[str]) -> Mapping[str, Observation | DriverError]:
        return dict.fromkeys(handles, "fine")  # type: ignore[arg-type]


class House:
    """A worker with its endpoints, beside an engine that commits what is not refused."""

    def __init__(self, *, concurrency_max: int = 50, **labs: Lab) -> None:
        self.line = LocalLine()
        self.clock = Clock()
        self.events: list[Event] = []
        self.refuse: Callable[[Event], bool] = lambda _: False
        self._labs = labs
        self._concurrency_max = concurrency_max

    def carry_out(self, *commands: Command) -> dict[int, Settled]:
        """How each of these commands ended, by ordinal; what was refused is missing."""

        async def story() -> None:
            working = asyncio.create_task(self.worker().run())
            self.line.publish(commands)
            while self.line.live_count():
                self.commit()
                await asyncio.sleep(0)
                assert not working.done()
            await stopped(working)

        run(story())
        return {event.ordinal: event for event in self.events if isinstance(event, Settled)}

    def commit(self) -> None:
        for event in self.line.take_events(10_000):
            if self.refuse(event):
                self.line.reject([event], "over")
            else:
                self.events.append(event)
                self.line.confirm([event])

    def worker(self) -> Worker:
        endpoints = {
            name: Endpoint(fleet.Endpoint(name=name, driver="lab", concurrency_max=self._concurrency_max), lab)
            for name, lab in self._labs.items()
        }
        return Worker(self.line, endpoints, clock=self.clock, sleep=self.nap, config=AttemptConfig())

    async def nap(self, seconds: float) -> None:
        self.clock.advance(seconds / 1_000)
        await asyncio.sleep(0)


async def stopped(working: asyncio.Task[None]) -> None:
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working


def many(count: int, endpoint: str = "lab", first: int = 1) -> list[Command]:
    return [
        a_command(ordinal=ordinal, handle=f"h{ordinal}", endpoint=endpoint) for ordinal in range(first, first + count)
    ]


def test_every_command_is_seen_through_to_its_end() -> None:
    ends = House(lab=Crowd()).carry_out(*many(300))
    assert sorted(ends) == list(range(1, 301))
    assert {end.evidence for end in ends.values()} == {Evidence.BOOT_MARKER_CHANGED}


def test_no_more_servers_are_under_way_than_the_endpoint_allows() -> None:
    crowd = Crowd()
    assert len(House(concurrency_max=7, lab=crowd).carry_out(*many(60))) == 60
    assert crowd.at_once_max == 7


def test_many_servers_are_looked_at_and_asked_after_together() -> None:
    crowd = Crowd()
    House(concurrency_max=200, lab=crowd).carry_out(*many(200))
    assert crowd.diary.count("observe") <= 5
    assert crowd.diary.count("poll") <= 20


def test_an_endpoint_that_is_not_configured_ends_the_subtask() -> None:
    end = House(lab=Lab()).carry_out(a_command(endpoint="attic"))[1]
    assert end.result_code is ResultCode.NO_ENDPOINT
    assert "attic" in (end.result_message or "")


@pytest.mark.parametrize("broken", [Incapable, Nonsensical])
def test_a_broken_driver_ends_its_subtasks_and_not_the_worker(broken: Callable[[], Lab]) -> None:
    ends = House(lab=Lab(), broken=broken()).carry_out(*many(3), *many(3, "broken", first=4))
    assert [ends[ordinal].result_code for ordinal in range(1, 7)] == [None] * 3 + [ResultCode.INTERNAL] * 3
    assert all(len(end.result_message or "") <= RESULT_MESSAGE_LENGTH_MAX for end in ends.values())


def test_a_driver_that_breaks_while_it_warns_ends_the_subtask_and_frees_its_place() -> None:
    lab = Lab(users=2)
    lab.deaf = ValueError("a bug")  # type: ignore[assignment]
    ends = House(concurrency_max=1, lab=lab).carry_out(
        a_command(ordinal=1, enforcement=True), a_command(ordinal=2, enforcement=True)
    )
    assert [ends[ordinal].result_code for ordinal in (1, 2)] == [ResultCode.INTERNAL] * 2
    assert lab.requests == []


def test_what_the_engine_says_is_over_is_given_up_and_frees_its_place() -> None:
    lab = Lab()
    house = House(concurrency_max=1, lab=lab)
    house.refuse = lambda event: isinstance(event, Began) and event.ordinal == 1
    assert sorted(house.carry_out(*many(3))) == [2, 3]
    assert [request.handle for request in lab.requests] == ["h2", "h3"]


def test_an_end_that_is_refused_ends_nothing_else() -> None:
    house = House(lab=Lab())
    house.refuse = lambda event: isinstance(event, Settled) and event.ordinal == 1
    assert sorted(house.carry_out(*many(2))) == [2]


def test_a_silent_endpoint_holds_up_no_other() -> None:
    async def story(house: House) -> None:
        working = asyncio.create_task(house.worker().run())
        house.line.publish([*many(5, "silent"), *many(5, first=6)])
        while sum(isinstance(event, Settled) for event in house.events) < 5:
            house.commit()
            await asyncio.sleep(0)
        await stopped(working)

    class Silent(Lab):
        async def observe(self, handles: Sequence[str]) -> Mapping[str, Observation | DriverError]:
            return await never()

    house = House(lab=Lab(), silent=Silent())
    run(story(house))
    assert sorted(event.ordinal for event in house.events if isinstance(event, Settled)) == [6, 7, 8, 9, 10]


def test_a_cancelled_worker_drops_what_is_under_way_where_it_is_and_lets_go() -> None:
    lab = Lab()
    lab.progress.extend([PENDING] * 100_000)
    house = House(lab=lab)

    async def story() -> None:
        working = asyncio.create_task(house.worker().run())
        house.line.publish(many(3))
        while len(lab.requests) < 3:
            house.commit()
            await asyncio.sleep(0)
        await stopped(working)
        said = len(house.events)
        house.commit()
        assert [event for event in house.events[said:] if isinstance(event, Settled)] == []

    run(story())
    assert lab.closed
    assert house.line.live_count() == 3


def test_what_an_earlier_worker_left_is_taken_up() -> None:
    lab = Lab()
    lab.boots = 2
    ends = House(lab=lab).carry_out(begun(ordinal=1), begun(ordinal=2, ticket="from before"))
    assert {end.evidence for end in ends.values()} == {Evidence.BOOT_MARKER_CHANGED}
    assert lab.requests == []


def test_more_than_can_be_under_way_waits_at_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleetcron.worker.worker.UNDER_WAY_MAX", 5)
    assert len(House(lab=Crowd()).carry_out(*many(23))) == 23
