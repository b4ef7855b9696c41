"""Visitors are asked about once, beside everything else, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import pytest

from builders import NOW
from fleetcron.control.visitors import Visitor, Visitors
from fleetcron.errors import Unauthenticated, Unavailable
from fleetcron.identity.contract import Validated
from fleetcron.store.database import Database
from fleetcron.web import reception
from fleetcron.web.reception import ASKED_AT_ONCE_MAX, Reception

WAIT_SECONDS_MAX = 20


class Slow:
    """An identity service that answers when it is let; it knows every token that does not start with ``bad``."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.asked: list[str] = []
        self.at_once_max = 0
        self._under_way = 0
        self._count = threading.Lock()

    def validate(self, token: str, now: datetime) -> Validated:
        with self._count:
            self.asked.append(token)
            self._under_way += 1
            self.at_once_max = max(self.at_once_max, self._under_way)
        assert self.let.wait(WAIT_SECONDS_MAX)
        with self._count:
            self._under_way -= 1
        if token.startswith("bad"):
            raise Unauthenticated("decrypt token fail")
        return Validated(
            user_id="u1",
            user_name=token,
            project_id="p1",
            roles=frozenset({"reader"}),
            expires_at=now + timedelta(hours=1),
        )


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def visitors(database: Database, slow: Slow) -> Visitors:
    return Visitors(database, slow, {"reader": "Workspace ReadOnlyAccess"})


def run(visitors: Visitors, story: Callable[[Reception], Awaitable[None]]) -> None:
    async def tell() -> None:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            await story(Reception(visitors))

    asyncio.run(tell())


async def until(true: Callable[[], bool]) -> None:
    """Let others go on until something is so; ``run`` sets the limit."""
    while not true():  # noqa: ASYNC110  (what is waited for happens in other threads)
        await asyncio.sleep(0.001)


async def gathered(*waiting: Awaitable[Visitor]) -> list[Visitor | BaseException]:
    return await asyncio.gather(*waiting, return_exceptions=True)


def test_one_question_answers_all_requests_of_a_visitor(visitors: Visitors, slow: Slow) -> None:
    async def story(reception: Reception) -> None:
        waiting = asyncio.gather(*(reception.admit("t", NOW + timedelta(milliseconds=n)) for n in range(50)))
        await until(lambda: slow.asked != [])
        slow.let.set()
        assert {visitor.caller.user_name for visitor in await waiting} == {"t"}
        assert slow.asked == ["t"]
        # What was found a moment ago is not asked again.
        await reception.admit("t", NOW + timedelta(milliseconds=60))
        assert slow.asked == ["t"]

    run(visitors, story)


def test_who_comes_too_late_for_a_question_asks_anew(visitors: Visitors, slow: Slow) -> None:
    async def story(reception: Reception) -> None:
        first = asyncio.create_task(reception.admit("t", NOW))
        await until(lambda: len(slow.asked) == 1)
        second = asyncio.create_task(reception.admit("t", NOW + timedelta(seconds=1)))
        await until(lambda: len(slow.asked) == 2)
        slow.let.set()
        await gathered(first, second)

    run(visitors, story)


def test_a_refusal_reaches_everybody_who_waited_and_is_not_kept(visitors: Visitors, slow: Slow) -> None:
    async def story(reception: Reception) -> None:
        slow.let.set()
        answers = await gathered(reception.admit("bad", NOW), reception.admit("bad", NOW))
        assert [type(answer) for answer in answers] == [Unauthenticated] * 2
        assert slow.asked == ["bad"]
        with pytest.raises(Unauthenticated):
            await reception.admit("bad", NOW)
        assert slow.asked == ["bad", "bad"]

    run(visitors, story)


def test_the_event_loop_goes_on_and_only_a_few_are_asked_at_once(visitors: Visitors, slow: Slow) -> None:
    async def story(reception: Reception) -> None:
        waiting = [asyncio.create_task(reception.admit(f"t{n}", NOW)) for n in range(3 * ASKED_AT_ONCE_MAX)]
        await until(lambda: len(slow.asked) == ASKED_AT_ONCE_MAX)
        slow.let.set()
        await asyncio.gather(*waiting)
        assert len(slow.asked) == 3 * ASKED_AT_ONCE_MAX
        assert slow.at_once_max <= ASKED_AT_ONCE_MAX

    run(visitors, story)


def test_more_than_may_wait_are_sent_away_at_once(
    visitors: Visitors, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reception, "WAITING_MAX", 6)

    async def story(reception: Reception) -> None:
        waiting = [asyncio.create_task(reception.admit(f"t{n}", NOW)) for n in range(6)]
        await until(lambda: len(slow.asked) == ASKED_AT_ONCE_MAX)
        with pytest.raises(Unavailable, match="too many"):
            await reception.admit("t6", NOW)
        slow.let.set()
        await asyncio.gather(*waiting)
        assert (await reception.admit("t6", NOW)).caller.user_name == "t6"

    run(visitors, story)


def test_nobody_waits_for_ever(visitors: Visitors, slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reception, "WAIT_SECONDS_MAX", 0.05)

    async def story(reception: Reception) -> None:
        with pytest.raises(Unavailable, match="does not answer"):
            await reception.admit("t", NOW)
        slow.let.set()
        await until(lambda: visitors.recall("t", NOW) is not None)
        # The answer that came too late for that request is there for the next.
        assert (await reception.admit("t", NOW)).caller.user_name == "t"
        assert slow.asked == ["t"]

    run(visitors, story)


def test_a_request_that_is_given_up_leaves_the_others_their_answer(visitors: Visitors, slow: Slow) -> None:
    async def story(reception: Reception) -> None:
        leaving = asyncio.create_task(reception.admit("t", NOW))
        staying = asyncio.create_task(reception.admit("t", NOW))
        await until(lambda: slow.asked == ["t"])
        leaving.cancel()
        await gathered(leaving)
        slow.let.set()
        assert (await staying).caller.user_name == "t"

    run(visitors, story)
