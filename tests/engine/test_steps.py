"""The law of steps: the first end wins, an attempt owns its subtask, and the same again moves nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import NOW, a_subtask, after
from engine_bench import began, settled, submitted, taken_up
from fleetcron.dispatch.contract import ACCEPTED, Event, Verdict
from fleetcron.domain.execution import ResultCode, Status, Subtask
from fleetcron.engine.steps import ANOTHERS, BEGUN, OVER, SETTLED, UNBEGUN, step

LIVE = a_subtask(dispatched_at=NOW)


def through(*events: Event, subtask: Subtask = LIVE) -> Subtask:
    for event in events:
        subtask, _ = step(subtask, event)
    return subtask


@pytest.mark.parametrize(
    ("before", "event", "verdict"),
    [
        ((), taken_up(), ACCEPTED),
        ((), began(), ACCEPTED),
        ((), began(sends=2), UNBEGUN),
        ((), submitted(), ANOTHERS),
        ((), settled(), SETTLED),
        ((taken_up(attempt="a2"),), began(attempt="a2"), ACCEPTED),
        ((taken_up(attempt="a2"),), began(), ANOTHERS),
        ((taken_up(attempt="a2"),), settled(), ANOTHERS),
        ((began(),), began(attempt="a2"), ANOTHERS),
        ((began(),), taken_up(attempt="a2"), ACCEPTED),
        ((began(),), began(sends=2), ACCEPTED),
        ((began(),), submitted(), ACCEPTED),
        ((began(),), submitted(attempt="a2"), ANOTHERS),
        ((began(),), settled(attempt="a2"), ANOTHERS),
        ((began(), began(sends=2)), began(), BEGUN),
        ((began(), taken_up(attempt="a2")), began(), ANOTHERS),
        ((began(), taken_up(attempt="a2")), began(sends=2, attempt="a2"), ACCEPTED),
        ((began(), taken_up(attempt="a2")), settled(), ANOTHERS),
        ((began(),), settled(code=ResultCode.TIMEOUT, attempt=None), SETTLED),
        ((began(),), settled(code=ResultCode.CANCELLED, attempt=None), BEGUN),
        ((began(),), settled(code=ResultCode.MISSED, attempt=None), BEGUN),
        ((taken_up(),), settled(code=ResultCode.CANCELLED, attempt=None), SETTLED),
        ((began(), settled()), settled(), SETTLED),
        ((began(), settled()), settled(code=ResultCode.FAILED), OVER),
        ((began(), settled()), settled(attempt="a2"), OVER),
        ((began(), settled()), began(), OVER),
        ((began(), settled()), submitted(), OVER),
        ((began(), settled()), taken_up(), OVER),
        ((began(), settled(attempt=None)), settled(attempt=None), OVER),
    ],
)
def test_each_step_is_answered_by_what_went_before(before: tuple[Event, ...], event: Event, verdict: Verdict) -> None:
    assert step(through(*before), event)[1] == verdict


def test_beginning_says_everything_and_going_on_keeps_the_first_beginning_and_its_deadline() -> None:
    begun = through(began(seconds=2))
    assert (begun.status, begun.began_at, begun.settle_until, begun.sends) == (Status.RUNNING, after(2), after(900), 1)
    again = through(submitted(), began(sends=2, seconds=60), subtask=begun)
    assert (again.began_at, again.sends, again.boot_marker, again.ticket) == (after(2), 2, "b2", None)


def test_a_worker_whose_clock_is_slow_has_its_time_nevertheless() -> None:
    slow = msgspec.structs.replace(began(), began_at=after(-7200), settle_until=after(-7200 + 900))
    assert through(slow).settle_until == after(900)
    ahead = msgspec.structs.replace(began(), began_at=after(7200), settle_until=after(7200 + 900))
    assert through(ahead).settle_until == after(7200 + 900)


def test_no_worker_keeps_a_server_for_ever() -> None:
    for event in (
        msgspec.structs.replace(began(), settle_until=datetime.max.replace(tzinfo=UTC)),
        msgspec.structs.replace(began(), began_at=after(1e9), settle_until=after(1e9 + 900)),
    ):
        assert through(event).settle_until == NOW + timedelta(days=7)


def test_an_end_before_the_beginning_leaves_the_beginning_open() -> None:
    ended = through(settled(code=ResultCode.USERS))
    assert (ended.status, ended.began_at, ended.ended_at, ended.attempt) == (Status.FAILED, None, after(9), "a1")


def test_the_one_sign_that_cannot_be_kept_does_not_keep_an_end_from_being_written() -> None:
    assert through(settled(code=ResultCode.FAILED, message="no\0pe")).result_message == "no\N{REPLACEMENT CHARACTER}pe"


ATTEMPTS = st.sampled_from(["a1", "a2"])
EVENTS = st.one_of(
    st.builds(taken_up, attempt=ATTEMPTS),
    st.builds(began, sends=st.integers(1, 3), seconds=st.integers(1, 5), attempt=ATTEMPTS),
    st.builds(submitted, ticket=st.sampled_from("xy"), attempt=ATTEMPTS),
    st.builds(settled, code=st.sampled_from([None, *ResultCode]), attempt=ATTEMPTS | st.none()),
)


@given(events=st.lists(EVENTS, max_size=12), again=EVENTS)
def test_whatever_happens_sends_rise_an_end_stays_and_the_same_again_moves_nothing(
    events: list[Event], again: Event
) -> None:
    subtask = LIVE
    for event in events:
        moved, verdict = step(subtask, event)
        assert verdict.refused is None or moved is subtask
        assert moved.sends >= subtask.sends
        assert subtask.began_at in (None, moved.began_at)
        assert subtask.ended_at is None or moved is subtask
        subtask = moved
    once, first = step(subtask, again)
    twice, second = step(once, again)
    assert twice == once
    if first.refused is None and not (first.over and again == msgspec.structs.replace(again, attempt=None)):
        assert second == first


@given(events=st.lists(EVENTS, max_size=12), event=EVENTS)
def test_whoever_does_not_own_the_subtask_moves_nothing_but_by_taking_it_up(events: list[Event], event: Event) -> None:
    subtask = through(*events)
    if (
        subtask.attempt is None
        or event.attempt in (None, subtask.attempt)
        or event == taken_up(attempt=str(event.attempt))
    ):
        return
    assert step(subtask, event)[0] is subtask
