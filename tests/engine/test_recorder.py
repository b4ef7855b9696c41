"""From events to history: each counts once, none after the end, and nobody goes on before the commit."""

from __future__ import annotations

from contextlib import suppress

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import a_target, a_task, after
from engine_bench import Engine, began, settled, submitted
from fleetcron.dispatch.contract import Event
from fleetcron.domain.execution import Evidence, ResultCode, Status
from fleetcron.engine import recorder as module
from fleetcron.errors import Unavailable

OVER = "the subtask is over"


@pytest.fixture
def engine(engine: Engine) -> Engine:
    """An engine whose execution e000001 has handed out three subtasks."""
    engine.add_servers(3)
    engine.add_tasks(a_task(targets=tuple(a_target(f"s{number}") for number in range(1, 4))))
    engine.fire()
    return engine


def counters(engine: Engine) -> tuple[Status, int, int, int]:
    execution = engine.executions()[0]
    return execution.status, execution.succeeded, execution.failed, execution.running


def test_the_first_began_begins_the_execution(engine: Engine) -> None:
    assert engine.tell(began(ordinal=2, seconds=1.5)) == [None]
    assert counters(engine) == (Status.RUNNING, 0, 0, 1)
    assert engine.executions()[0].began_at == after(1.5)
    begun = engine.subtasks()[1]
    assert (begun.status, begun.began_at, begun.settle_until) == (Status.RUNNING, after(1.5), after(900))
    assert (begun.boot_marker, begun.sends) == ("b1", 1)


def test_a_ticket_is_kept(engine: Engine) -> None:
    assert engine.tell(began(), submitted()) == [None, None]
    assert engine.subtasks()[0].ticket == "ticket"


def test_the_last_subtask_seals_the_execution(engine: Engine) -> None:
    engine.tell(began(ordinal=1), began(ordinal=2), began(ordinal=3))
    engine.tell(settled(ordinal=2, seconds=20), settled(ordinal=1, seconds=9))
    assert counters(engine) == (Status.RUNNING, 2, 0, 1)
    assert not isinstance(engine.record(), bytes)
    engine.tell(settled(ordinal=3, seconds=15))
    assert counters(engine) == (Status.SUCCESS, 3, 0, 0)
    assert engine.executions()[0].ended_at == after(20)
    assert engine.record() == b"e000001 SUCCESS 3/3/0/0"


def test_one_failure_fails_the_execution(engine: Engine) -> None:
    engine.tell(*(began(ordinal=ordinal) for ordinal in (1, 2, 3)))
    engine.tell(settled(ordinal=1), settled(ordinal=2, code=ResultCode.FAILED), settled(ordinal=3))
    assert engine.record() == b"e000001 FAILED 3/2/1/0"
    failed = engine.subtasks()[1]
    assert (failed.result_code, failed.result_message, failed.evidence) == (ResultCode.FAILED, "why", None)
    assert engine.subtasks()[0].evidence is Evidence.BOOT_MARKER_CHANGED


def test_all_in_one_batch_is_as_good_as_one_by_one(engine: Engine) -> None:
    events: list[Event] = [began(ordinal=ordinal) for ordinal in (1, 2, 3)]
    events += [submitted(ordinal=ordinal) for ordinal in (1, 2, 3)]
    events += [settled(ordinal=ordinal) for ordinal in (1, 2, 3)]
    assert engine.tell(*events) == [None] * 9
    assert engine.record() == b"e000001 SUCCESS 3/3/0/0"


def test_a_subtask_may_end_without_having_begun(engine: Engine) -> None:
    assert engine.tell(settled(ordinal=1, code=ResultCode.USERS)) == [None]
    assert counters(engine) == (Status.WAITING, 0, 1, 0)


def test_a_repeated_began_is_rejected_and_counts_nothing(engine: Engine) -> None:
    engine.tell(began())
    assert engine.tell(began(seconds=5)) == [OVER]
    assert counters(engine) == (Status.RUNNING, 0, 0, 1)
    assert engine.subtasks()[0].began_at == after(1)


def test_the_same_began_twice_in_one_batch_counts_once(engine: Engine) -> None:
    assert engine.tell(began(), began()) == [None, OVER]
    assert counters(engine) == (Status.RUNNING, 0, 0, 1)


def test_going_on_is_confirmed_and_not_counted_again(engine: Engine) -> None:
    engine.tell(began(), submitted())
    assert engine.tell(began(sends=2, seconds=30)) == [None]
    assert counters(engine) == (Status.RUNNING, 0, 0, 1)
    again = engine.subtasks()[0]
    assert (again.sends, again.boot_marker, again.ticket, again.began_at) == (2, "b2", None, after(1))


def test_going_on_with_what_never_began_is_rejected(engine: Engine) -> None:
    assert engine.tell(began(sends=2)) == [OVER]
    assert counters(engine) == (Status.WAITING, 0, 0, 0)


@pytest.mark.parametrize("late", [began(), began(sends=2), submitted(), settled(), settled(code=ResultCode.TIMEOUT)])
def test_whatever_comes_after_the_end_is_rejected_and_changes_nothing(engine: Engine, late: Event) -> None:
    engine.tell(began(), settled(code=ResultCode.FAILED))
    before = engine.subtasks(), counters(engine)
    assert engine.tell(late) == [OVER]
    assert (engine.subtasks(), counters(engine)) == before


@pytest.mark.parametrize("late", [began(), began(sends=2), submitted()])
def test_whatever_comes_after_the_end_in_the_same_batch_is_rejected_too(engine: Engine, late: Event) -> None:
    engine.tell(began(ordinal=2))
    assert engine.tell(settled(code=ResultCode.FAILED), late) == [None, OVER]
    assert counters(engine) == (Status.RUNNING, 0, 1, 1)


def test_the_first_end_wins(engine: Engine) -> None:
    engine.tell(began())
    assert engine.tell(settled(), settled(code=ResultCode.TIMEOUT)) == [None, OVER]
    assert counters(engine) == (Status.RUNNING, 1, 0, 0)
    assert engine.subtasks()[0].status is Status.SUCCESS


def test_an_event_about_nothing_is_rejected(engine: Engine) -> None:
    events: list[Event] = [began("e999999"), submitted("e999999"), settled("e999999"), settled(ordinal=99)]
    assert engine.tell(*events) == [OVER] * 4
    assert counters(engine) == (Status.WAITING, 0, 0, 0)


def test_a_settled_subtask_is_live_no_more_and_a_begun_one_is(engine: Engine) -> None:
    engine.tell(began(ordinal=1), began(ordinal=2), settled(ordinal=1))
    assert not engine.line.is_live(("e000001", 1))
    assert engine.line.is_live(("e000001", 2))


def test_a_commit_that_fails_is_tried_again_with_the_same_events_and_answers_nobody_before(engine: Engine) -> None:
    with engine.database.transaction() as tx:
        tx.execute("PRAGMA max_page_count = 1")
    engine.report(began(ordinal=1), settled(ordinal=2, code=ResultCode.FAILED, message="x" * 200_000))
    for _ in range(3):
        with pytest.raises(Unavailable):
            engine.recorder.tick()
    engine.report(began(ordinal=3))
    assert counters(engine) == (Status.WAITING, 0, 0, 0)
    assert engine.line.is_live(("e000001", 2))
    with engine.database.transaction() as tx:
        tx.execute("PRAGMA max_page_count = 1000000")
    assert engine.recorder.tick() == 2
    assert engine.recorder.tick() == 1
    assert engine.answers() == [None, None, None]
    assert counters(engine) == (Status.RUNNING, 0, 1, 2)


def test_an_event_that_cannot_be_written_fails_alone(engine: Engine) -> None:
    """A lone surrogate comes from bytes that are no text; the database does not take it."""
    engine.report(settled(ordinal=1, code=ResultCode.FAILED, message="broken \udce9 text"), began(ordinal=2))
    for _ in range(2):
        with suppress(Exception):  # what matters is that it does not stay so
            engine.recorder.tick()
    assert engine.subtasks()[1].status is Status.RUNNING


def test_a_batch_has_a_limit_and_the_rest_comes_next(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVENTS_PER_TRANSACTION_MAX", 2)
    engine.report(*(began(ordinal=ordinal) for ordinal in (1, 2, 3)))
    assert [engine.recorder.tick() for _ in range(3)] == [2, 1, 0]
    assert engine.answers() == [None, None, None]


EVENTS = st.one_of(
    st.builds(began, ordinal=st.integers(1, 4), sends=st.integers(1, 3)),
    st.builds(submitted, ordinal=st.integers(1, 4)),
    st.builds(settled, ordinal=st.integers(1, 4), code=st.sampled_from([None, ResultCode.FAILED])),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(EVENTS, min_size=1, max_size=6), min_size=1, max_size=6))
def test_whatever_is_said_the_counters_add_up_and_an_end_never_moves(
    engine: Engine, batches: list[list[Event]]
) -> None:
    engine.clock.advance(86_400 * 2)  # a fresh execution for every example
    for live in engine.subtasks():
        if live.ended_at is None:
            engine.tell(settled(live.execution_id, live.ordinal))
    engine.fire()
    engine.fire()
    execution_id = engine.executions()[-1].execution_id
    ended: dict[int, object] = {}
    for batch in batches:
        engine.tell(*(msgspec.structs.replace(event, execution_id=execution_id) for event in batch))
        shares = engine.subtasks()
        execution = engine.executions()[-1]
        statuses = [share.status for share in shares]
        assert execution.succeeded == statuses.count(Status.SUCCESS)
        assert execution.failed == statuses.count(Status.FAILED)
        assert execution.running == statuses.count(Status.RUNNING)
        assert (execution.ended_at is not None) == (execution.succeeded + execution.failed == execution.total)
        for share in shares:
            assert ended.setdefault(share.ordinal, share) == share if share.ended_at else share.ordinal not in ended
