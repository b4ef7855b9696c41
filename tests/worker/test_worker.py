"""The worker: many commands at a time, each seen through to its end, whatever the others and the drivers do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from itertools import count

import msgspec
import pytest

from builders import Clock
from fleetcron.dispatch.contract import ACCEPTED, Began, Command, Event, Settled, TakenUp, Verdict
from fleetcron.dispatch.local import LocalLine
from fleetcron.domain import fleet
from fleetcron.domain.execution import RESULT_MESSAGE_LENGTH_MAX, Evidence, Reference, ResultCode
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

    def __init__(self, *, concurrency_max: int = 50, line: LocalLine | None = None, **labs: Lab) -> None:
        self.line = line or LocalLine()
        self.clock = Clock()
        self.events: list[Event] = []
        self.refuse: Callable[[Event], bool] = lambda _: False
        self.left: dict[Reference, Command] = {}
        self._labs = labs
        self._concurrency_max = concurrency_max

    def carry_out(self, *commands: Command, **limits: int) -> dict[int, Settled]:
        """How each of these commands ended, by ordinal; what was refused is missing."""
        references = [command.reference for command in commands]

        async def story() -> None:
            working = asyncio.create_task(self.worker(**limits).run())
            self.publish(commands)
            while self.line.lost(references) != references:
                self.commit()
                await asyncio.sleep(0)
                assert not working.done()
            await stopped(working)

        run(story())
        return {event.ordinal: event for event in self.events if isinstance(event, Settled)}

    def publish(self, commands: Sequence[Command]) -> None:
        for command in commands:
            self.left.setdefault(command.reference, msgspec.structs.replace(command, again=False))
        self.line.publish(commands)

    def commit(self) -> None:
        for event in self.line.take_events(10_000):
            if self.refuse(event):
                self.line.answer([(event, Verdict(refused="over", over=True))])
            else:
                self.events.append(event)
                self.line.answer([(event, self._verdict(event))])

    async def beside_the_engine(self, holds: Callable[[], bool]) -> None:
        """Commit until this holds."""
        while not holds():
            self.commit()
            await asyncio.sleep(0)

    def ends(self) -> list[Settled]:
        return [event for event in self.events if isinstance(event, Settled)]

    def worker(self, **limits: int) -> Worker:
        endpoints = {
            name: Endpoint(fleet.Endpoint(name=name, driver="lab", concurrency_max=self._concurrency_max), lab)
            for name, lab in self._labs.items()
        }
        names = (f"a{number}" for number in count(1))
        return Worker(
            self.line,
            endpoints,
            clock=self.clock,
            sleep=self.nap,
            config=AttemptConfig(),
            new_id=lambda: next(names),
            under_way_max=limits.get("under_way_max", 20_000),
            take_max=limits.get("take_max", 1_000),
        )

    def _verdict(self, event: Event) -> Verdict:
        if isinstance(event, TakenUp):
            return Verdict(left=self.left[event.execution_id, event.ordinal])
        return Verdict(over=True) if isinstance(event, Settled) else ACCEPTED

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
        house.publish([*many(5, "silent"), *many(5, first=6)])
        await house.beside_the_engine(lambda: len(house.ends()) == 5)
        await stopped(working)

    class Silent(Lab):
        async def observe(self, handles: Sequence[str]) -> Mapping[str, Observation | DriverError]:
            return await never()

    house = House(lab=Lab(), silent=Silent())
    run(story(house))
    assert sorted(end.ordinal for end in house.ends()) == [6, 7, 8, 9, 10]


def test_a_cancelled_worker_drops_what_is_under_way_where_it_is_and_lets_go() -> None:
    lab = Lab()
    lab.progress.extend([PENDING] * 100_000)
    house = House(lab=lab)

    async def story() -> None:
        working = asyncio.create_task(house.worker().run())
        house.publish(many(3))
        await house.beside_the_engine(lambda: len(lab.requests) == 3)
        await stopped(working)
        house.commit()

    run(story())
    assert lab.closed
    assert house.ends() == []
    assert house.line.lost([("e1", 1), ("e1", 2), ("e1", 3)]) == []


# Attempts


def test_every_attempt_has_a_name_of_its_own_and_says_it_in_all_its_events() -> None:
    house = House(lab=Lab())
    house.carry_out(*many(3))
    said = {(event.ordinal, event.attempt) for event in house.events}
    assert sorted(said) == [(1, "a1"), (2, "a2"), (3, "a3")]


def test_the_names_of_attempts_differ_when_nobody_gives_them() -> None:
    house = House(lab=Lab())

    async def story(worker: Worker) -> None:
        working = asyncio.create_task(worker.run())
        house.publish(many(20))
        await house.beside_the_engine(lambda: len(house.ends()) == 20)
        await stopped(working)

    run(story(Worker(house.line, {}, clock=house.clock, config=AttemptConfig())))
    assert len({end.attempt for end in house.ends()}) == 20


def test_what_an_earlier_worker_left_is_taken_up() -> None:
    lab = Lab()
    lab.boots = 2
    house = House(lab=lab)
    ends = house.carry_out(begun(ordinal=1), begun(ordinal=2, ticket="from before"))
    assert {end.evidence for end in ends.values()} == {Evidence.BOOT_MARKER_CHANGED}
    assert lab.requests == []
    assert [event for event in house.events if isinstance(event, TakenUp)] == [
        TakenUp(execution_id="e1", ordinal=1, attempt="a1"),
        TakenUp(execution_id="e1", ordinal=2, attempt="a2"),
    ]


def test_a_command_that_was_handed_out_before_is_resolved_as_the_engine_says_it_was_left() -> None:
    lab = Lab()
    lab.boots = 2
    house = House(lab=lab)
    house.left["e1", 1] = begun()
    assert house.carry_out(a_command(again=True))[1].evidence is Evidence.BOOT_MARKER_CHANGED
    assert lab.requests == []
    assert [type(event) for event in house.events] == [TakenUp, Settled]


def test_a_command_that_was_handed_out_before_and_not_begun_goes_the_fresh_way() -> None:
    lab = Lab()
    house = House(lab=lab)
    assert house.carry_out(a_command(again=True))[1].evidence is Evidence.BOOT_MARKER_CHANGED
    assert len(lab.requests) == 1
    assert [event.sends for event in house.events if isinstance(event, Began)] == [1]


def test_a_command_that_cannot_be_taken_up_is_not_even_looked_at() -> None:
    lab = Lab()
    house = House(lab=lab)
    house.refuse = lambda event: isinstance(event, TakenUp)
    assert house.carry_out(begun()) == {}
    assert lab.diary == []


def test_what_was_begun_at_an_endpoint_that_is_gone_has_an_unknown_outcome() -> None:
    house = House(lab=Lab())
    house.left["e1", 1] = begun(endpoint="attic")
    assert house.carry_out(a_command(endpoint="attic", again=True))[1].result_code is ResultCode.UNKNOWN


def test_a_command_that_comes_again_while_it_is_under_way_ends_the_earlier_attempt() -> None:
    lab = Lab()
    lab.progress.extend([PENDING] * 100_000)
    house = House(lab=lab)

    async def story() -> None:
        worker = house.worker()
        working = asyncio.create_task(worker.run())
        house.publish([a_command()])
        await house.beside_the_engine(lambda: lab.diary.count("poll") > 3)
        house.left["e1", 1] = begun(ticket="ticket-1")
        await house.line.hand_back(a_command())
        house.publish([begun(ticket="ticket-1")])
        await house.beside_the_engine(lambda: TakenUp(execution_id="e1", ordinal=1, attempt="a2") in house.events)
        assert worker.under_way == 1
        lab.progress.clear()
        await house.beside_the_engine(lambda: bool(house.ends()))
        await stopped(working)

    run(story())
    assert [end.attempt for end in house.ends()] == ["a2"]
    assert len(lab.requests) == 1


# Limits


def test_more_than_can_be_under_way_waits_at_the_line() -> None:
    house = House(lab=Crowd())
    under_way: list[int] = []

    async def story() -> None:
        worker = house.worker(under_way_max=5)
        working = asyncio.create_task(worker.run())
        house.publish(many(23))

        def all_ended() -> bool:
            under_way.append(worker.under_way)
            return len(house.ends()) == 23

        await house.beside_the_engine(all_ended)
        await stopped(working)

    run(story())
    assert max(under_way) == 5


class Counting(LocalLine):
    """A line that keeps how many commands were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []

    async def take(self, count_max: int) -> list[Command]:
        self.asked.append(count_max)
        return await super().take(count_max)


def test_no_more_commands_are_asked_for_at_once_than_allowed() -> None:
    line = Counting()
    assert len(House(lab=Crowd(), line=line).carry_out(*many(23), take_max=4, under_way_max=6)) == 23
    assert max(line.asked) == 4


# Draining


def test_a_worker_without_anything_under_way_drains_at_once_and_lets_go() -> None:
    lab = Lab()

    async def story() -> list[bool]:
        worker = House(lab=lab).worker()
        taking = [worker.taking]
        working = asyncio.create_task(worker.run())
        await asyncio.sleep(0)
        taking.append(worker.taking)
        await worker.drain(3_600)
        await working
        return [*taking, worker.taking]

    assert run(story()) == [False, True, False]
    assert lab.closed


def test_a_worker_that_drains_ends_what_is_under_way_and_takes_nothing_new() -> None:
    lab = Lab()
    lab.progress.extend([PENDING] * 10)
    house = House(lab=lab)

    async def story() -> None:
        worker = house.worker()
        working = asyncio.create_task(worker.run())
        house.publish(many(3))
        await house.beside_the_engine(lambda: len(lab.requests) == 3)
        draining = asyncio.create_task(worker.drain(3_600))
        await asyncio.sleep(0)
        house.publish(many(1, first=4))
        await house.beside_the_engine(working.done)
        await working
        await draining
        assert worker.under_way == 0

    run(story())
    assert sorted(end.ordinal for end in house.ends()) == [1, 2, 3]
    assert house.line.lost([("e1", 3), ("e1", 4)]) == [("e1", 3)]
    assert lab.closed


def test_what_does_not_end_while_a_worker_drains_is_handed_back_and_taken_up_elsewhere() -> None:
    lab = Lab()
    lab.progress.extend([PENDING] * 100_000)
    house = House(lab=lab)

    async def story() -> None:
        worker = house.worker()
        working = asyncio.create_task(worker.run())
        house.publish(many(3))
        await house.beside_the_engine(lambda: len(lab.requests) == 3)
        await worker.drain(0)
        await working
        assert worker.under_way == 0

    run(story())
    assert house.ends() == []
    references = [("e1", ordinal) for ordinal in (1, 2, 3)]
    assert house.line.lost(references) == references


def test_a_worker_that_is_cancelled_while_it_drains_hands_nothing_back() -> None:
    lab = Lab()
    lab.progress.extend([PENDING] * 100_000)
    house = House(lab=lab)

    async def story() -> None:
        worker = house.worker()
        working = asyncio.create_task(worker.run())
        house.publish([a_command()])
        await house.beside_the_engine(lambda: bool(lab.requests))
        draining = asyncio.create_task(worker.drain(3_600))
        await asyncio.sleep(0)
        await stopped(working)
        await draining

    run(story())
    assert house.line.lost([("e1", 1)]) == []


def test_a_worker_that_drains_before_it_runs_takes_nothing() -> None:
    house = House(lab=Lab())

    async def story() -> None:
        worker = house.worker()
        await worker.drain(3_600)
        house.publish([a_command()])
        await worker.run()

    run(story())
    assert house.events == []


def test_what_cannot_be_reported_for_a_bug_is_handed_back() -> None:
    class Mute(LocalLine):
        async def report(self, event: Event) -> None:
            raise ValueError("a bug")

    line = Mute()
    house = House(lab=Lab(), line=line)

    async def story() -> None:
        worker = house.worker()
        working = asyncio.create_task(worker.run())
        house.publish([a_command()])
        await house.beside_the_engine(lambda: line.lost([a_command().reference]) != [])
        await house.beside_the_engine(lambda: worker.under_way == 0)
        await stopped(working)

    run(story())
    assert house.events == []


def test_a_line_that_breaks_ends_the_worker_with_its_error() -> None:
    class Broken(LocalLine):
        async def take(self, count_max: int) -> list[Command]:
            raise ValueError(f"{count_max} are too many")

    lab = Lab()
    with pytest.raises(ValueError, match="1000 are too many"):
        run(House(lab=lab, line=Broken()).worker().run())
    assert lab.closed
