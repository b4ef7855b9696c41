"""One endpoint as the attempts see it: single questions, asked in bulk, each answered whatever the driver does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import pytest

from fleetcron.domain import fleet
from fleetcron.domain.fleet import Power
from fleetcron.drivers.contract import Observation, Poll, Request
from fleetcron.errors import Busy, DriverError, Indeterminate, Permanent, Retryable, Unavailable
from fleetcron.worker import endpoint as module
from fleetcron.worker.endpoint import Endpoint
from worker_bench import EVERYTHING, Lab, a_command, never, run

Answers = Mapping[str, Observation | DriverError]


class Switchboard(Lab):
    """A lab that answers for each handle by its name, counts its calls, and can be held up."""

    def __init__(self, answer: Callable[[Sequence[str]], Answers] | None = None) -> None:
        super().__init__()
        self.calls: list[list[str]] = []
        self.at_once_max = 0
        self.called = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self._at_once = 0
        self._answer = answer or (lambda handles: {handle: seen(handle) for handle in handles})

    async def observe(self, handles: Sequence[str]) -> Answers:
        self.calls.append(list(handles))
        self.called.set()
        self._at_once += 1
        self.at_once_max = max(self.at_once_max, self._at_once)
        await self.gate.wait()
        self._at_once -= 1
        return self._answer(handles)


class Silent(Lab):
    """A driver that never answers."""

    async def observe(self, handles: Sequence[str]) -> Answers:
        return await never()

    async def poll(self, tickets: Sequence[str]) -> Mapping[str, Poll | DriverError]:
        return await never()

    async def submit(self, request: Request) -> str:
        return await never()


def seen(handle: str) -> Observation:
    return Observation(power=Power.ON, boot_marker=f"boot-of-{handle}")


def an_endpoint(driver: Lab, concurrency_max: int = 50) -> Endpoint:
    return Endpoint(fleet.Endpoint(name="lab", driver="lab", concurrency_max=concurrency_max), driver)


def a_request() -> Request:
    return Request(request_id="e1/1/1", task_type=a_command().task_type, handle="h1", forced=False, boot_marker=None)


async def ask(endpoint: Endpoint, handles: Sequence[str]) -> list[Observation | BaseException]:
    return await asyncio.gather(*(endpoint.observe(handle) for handle in handles), return_exceptions=True)


def test_it_is_what_its_driver_is() -> None:
    async def story() -> None:
        lab = Lab()
        endpoint = an_endpoint(lab)
        assert (endpoint.name, endpoint.capabilities) == ("lab", EVERYTHING)
        await endpoint.aclose()
        assert lab.closed

    run(story())


def test_many_questions_are_few_calls_and_each_gets_its_own_answer() -> None:
    handles = [f"h{number}" for number in range(500)]

    async def story() -> tuple[list[Observation | BaseException], list[list[str]]]:
        board = Switchboard()
        return await ask(an_endpoint(board), handles), board.calls

    answers, calls = run(story())
    assert answers == [seen(handle) for handle in handles]
    assert len(calls) == 1


def test_what_is_asked_meanwhile_is_asked_together_in_the_next_call() -> None:
    async def story() -> Switchboard:
        board = Switchboard()
        endpoint = an_endpoint(board)
        board.gate.clear()
        asked = [asyncio.create_task(ask(endpoint, ["first"]))]
        await board.called.wait()
        asked += [asyncio.create_task(ask(endpoint, [f"h{number}"])) for number in range(50)]
        await asyncio.sleep(0)
        board.gate.set()
        await asyncio.gather(*asked)
        return board

    board = run(story())
    assert [len(call) for call in board.calls] == [1, 50]
    assert board.at_once_max == 1


def test_the_same_question_asked_twice_is_one_question() -> None:
    async def story() -> tuple[list[Observation | BaseException], list[list[str]]]:
        board = Switchboard()
        return await ask(an_endpoint(board), ["h1", "h1"]), board.calls

    answers, calls = run(story())
    assert answers == [seen("h1")] * 2
    assert calls == [["h1"]]


def test_a_bulk_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BULK_MAX", 10)

    async def story() -> tuple[list[Observation | BaseException], list[list[str]]]:
        board = Switchboard()
        return await ask(an_endpoint(board), [f"h{number}" for number in range(25)]), board.calls

    answers, calls = run(story())
    assert [len(call) for call in calls] == [10, 10, 5]
    assert answers[24] == seen("h24")


def test_one_servers_error_is_that_servers_alone() -> None:
    error = Permanent("no such server")
    board = Switchboard(lambda handles: {handle: error if handle == "bad" else seen(handle) for handle in handles})
    assert run(ask(an_endpoint(board), ["good", "bad"])) == [seen("good"), error]


def test_a_server_that_the_driver_forgets_is_asked_after_again() -> None:
    board = Switchboard(lambda handles: {handle: seen(handle) for handle in handles[:1]})
    first, second = run(ask(an_endpoint(board), ["h1", "h2"]))
    assert first == seen("h1")
    assert isinstance(second, Retryable)


def test_an_error_of_the_whole_call_is_everybodys() -> None:
    def refuse(_: Sequence[str]) -> Answers:
        raise Busy("updating")

    assert [type(answer) for answer in run(ask(an_endpoint(Switchboard(refuse)), ["h1", "h2"]))] == [Busy, Busy]


def test_a_driver_that_breaks_while_it_looks_can_be_asked_again() -> None:
    async def story() -> list[Observation | BaseException]:
        lab = Lab()
        lab.looks.append(ValueError("a bug"))
        endpoint = an_endpoint(lab)
        return [*await ask(endpoint, ["h1"]), *await ask(endpoint, ["h1"])]

    broken, fine = run(story())
    assert isinstance(broken, Retryable)
    assert isinstance(fine, Observation)


@pytest.mark.parametrize("nonsense", [None, 3, [seen("h1")]])
def test_a_driver_that_answers_nonsense_keeps_nobody_waiting(nonsense: object) -> None:
    async def story() -> list[Observation | BaseException]:
        endpoint = an_endpoint(Switchboard(lambda _: nonsense))  # type: ignore[arg-type,return-value]
        return [answer for _ in range(2) for answer in await asyncio.wait_for(ask(endpoint, ["h1", "h2"]), timeout=1)]

    assert all(isinstance(answer, DriverError) for answer in run(story()))


def test_a_driver_that_does_not_answer_can_be_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OBSERVE_SECONDS_MAX", 0.02)

    async def story() -> None:
        endpoint = an_endpoint(Silent())
        with pytest.raises(Retryable):
            await endpoint.observe("h1")
        with pytest.raises(Retryable):
            await endpoint.poll("ticket")

    run(story())


def test_whoever_stops_waiting_keeps_nobody_else_from_the_answer() -> None:
    async def story() -> Observation:
        board = Switchboard()
        endpoint = an_endpoint(board)
        board.gate.clear()
        gone, stays = (asyncio.create_task(endpoint.observe(handle)) for handle in ("h1", "h2"))
        await board.called.wait()
        gone.cancel()
        await asyncio.sleep(0)
        board.gate.set()
        return await stays

    assert run(story()) == seen("h2")


def test_a_submit_without_an_answer_is_indeterminate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SUBMIT_SECONDS_MAX", 0.02)
    with pytest.raises(Indeterminate):
        run(an_endpoint_submits(Silent()))


@pytest.mark.parametrize("error", [ValueError("a bug"), TimeoutError(), ConnectionResetError()])
def test_a_submit_that_breaks_is_indeterminate(error: Exception) -> None:
    lab = Lab()
    lab.answers.append(error)
    with pytest.raises(Indeterminate):
        run(an_endpoint_submits(lab))


@pytest.mark.parametrize("error", [Retryable("a"), Busy("b"), Permanent("c"), Indeterminate("d")])
def test_what_the_driver_says_of_a_submit_is_passed_on(error: DriverError) -> None:
    lab = Lab()
    lab.answers.append(error)
    with pytest.raises(type(error)) as raised:
        run(an_endpoint_submits(lab))
    assert raised.value is error


class OnItsWay(Lab):
    """A driver that is long on its way to the server, and tells what became of its way."""

    async def submit(self, request: Request) -> str:
        self.diary.append(f"on its way to {request.handle}")
        try:
            return await never()
        finally:
            self.diary.append("broken off")


def test_an_order_on_its_way_is_broken_off_when_it_is_wanted_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WANTED_SECONDS", 0.001)
    lab = OnItsWay()
    with pytest.raises(Unavailable, match="another worker's"):
        run(an_endpoint(lab).submit(a_request(), iter((True, False)).__next__))
    assert lab.diary == ["on its way to h1", "broken off"]


async def an_endpoint_submits(driver: Lab) -> str:
    return await an_endpoint(driver).submit(a_request(), lambda: True)


def test_no_more_hold_a_place_than_there_are_places() -> None:
    async def story() -> int:
        endpoint = an_endpoint(Lab(), concurrency_max=3)
        held = most = 0

        async def hold() -> None:
            nonlocal held, most
            async with endpoint.place:
                held += 1
                most = max(most, held)
                await asyncio.sleep(0)
                held -= 1

        await asyncio.gather(*(hold() for _ in range(20)))
        return most

    assert run(story()) == 3
