"""What was cancelled: nothing of it begins any more, and what has begun runs to its end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from builders import a_target, a_task, after, eventually
from databases import somebody_waits
from engine_bench import Engine, began, say, settled
from fleetcron.domain.execution import ResultCode, Status
from fleetcron.engine import canceller as module
from fleetcron.engine import ledger
from fleetcron.store import executions


@pytest.fixture
def engine(engine: Engine) -> Engine:
    """An engine whose execution e000001 has handed out three subtasks."""
    hand_out(engine)
    return engine


def hand_out(engine: Engine) -> None:
    engine.add_servers(3)
    engine.add_tasks(a_task(targets=tuple(a_target(f"s{number}") for number in range(1, 4))))
    engine.fire()


def cancel(engine: Engine, seconds: float = 2) -> bool:
    with engine.database.transaction() as tx:
        return executions.cancel(tx, "p1", engine.executions()[-1].execution_id, after(seconds))


def codes(engine: Engine) -> list[ResultCode | None]:
    return [subtask.result_code for subtask in engine.subtasks()]


def test_what_has_not_begun_ends_and_what_has_begun_runs_to_its_end(engine: Engine) -> None:
    engine.tell(began(ordinal=2))
    assert engine.canceller.tick(after(2)) == 0
    assert cancel(engine)
    assert engine.canceller.tick(after(3)) == 2
    assert codes(engine) == [ResultCode.CANCELLED, None, ResultCode.CANCELLED]
    assert engine.execution().status is Status.RUNNING
    assert engine.tell(settled(ordinal=2)) == [None]
    assert engine.record() == b"e000001 FAILED 3/1/2/0"


def test_nothing_is_done_twice(engine: Engine) -> None:
    engine.tell(began(ordinal=2))
    cancel(engine)
    assert [engine.canceller.tick(after(seconds)) for seconds in (3, 4)] == [2, 0]


def test_commands_of_what_was_cancelled_are_taken_back_and_a_worker_that_has_one_is_refused(engine: Engine) -> None:
    cancel(engine)
    engine.canceller.tick(after(3))
    assert not engine.is_held(("e000001", 1))
    assert engine.tell(began(ordinal=1)) == ["the subtask is over"]
    assert engine.subtasks()[0].began_at is None


def test_nothing_begins_between_the_cancel_and_the_cancellers_turn(engine: Engine) -> None:
    engine.tell(began(ordinal=2))
    cancel(engine)
    said = engine.tell(began(ordinal=1), began(ordinal=2), settled(ordinal=2))
    assert said == ["the execution is cancelled", None, None]
    engine.canceller.tick(after(3))
    assert codes(engine) == [ResultCode.CANCELLED, None, ResultCode.CANCELLED]
    assert engine.record() == b"e000001 FAILED 3/1/2/0"


def test_what_begins_while_its_execution_is_being_cancelled_is_refused(postgresql_engine: Engine) -> None:
    engine = postgresql_engine
    hand_out(engine)
    with ThreadPoolExecutor(1) as thread:
        with engine.database.transaction() as tx:
            executions.cancel(tx, "p1", "e000001", after(2))
            engine.report(began(ordinal=1), began(ordinal=3))
            recording = thread.submit(engine.recorder.tick, after(2))
            eventually(lambda: somebody_waits(engine.database))
        recording.result()
    assert engine.answers() == ["the execution is cancelled"] * 2
    assert engine.canceller.tick(after(3)) == 3
    assert engine.record() == b"e000001 FAILED 3/0/3/0"


def test_what_began_before_the_cancel_is_committed_is_told_so(postgresql_engine: Engine) -> None:
    engine = postgresql_engine
    hand_out(engine)
    with ThreadPoolExecutor(1) as thread:
        with engine.database.transaction() as tx:
            assert ledger.enter(tx, [began(ordinal=1)], say).accepted_count == 1
            cancelling = thread.submit(cancel, engine)
            eventually(lambda: somebody_waits(engine.database))
        assert cancelling.result()
    assert engine.canceller.tick(after(3)) == 2
    assert codes(engine) == [None, ResultCode.CANCELLED, ResultCode.CANCELLED]


def test_a_whole_execution_that_is_cancelled_is_over_at_once(engine: Engine) -> None:
    cancel(engine)
    engine.canceller.tick(after(3))
    assert engine.record() == b"e000001 FAILED 3/0/3/0"
    assert engine.execution().ended_at == after(3)


def test_what_was_cancelled_before_it_was_handed_out_is_never_told(engine: Engine) -> None:
    engine.tell(*(settled(ordinal=ordinal) for ordinal in (1, 2, 3)))
    engine.clock.advance(86_400)
    engine.scheduler.tick(engine.clock())
    assert cancel(engine, 86_401)
    assert engine.dispatcher.tick(after(86_401)) == 3
    assert engine.take() == []
    assert codes(engine) == [ResultCode.CANCELLED] * 3


def test_what_was_cancelled_leaves_its_servers_free(engine: Engine) -> None:
    cancel(engine)
    engine.canceller.tick(after(3))
    engine.add_tasks(a_task("next", next_fire_at=after(4)))
    engine.clock.advance(4)
    engine.fire()
    assert [subtask.result_code for subtask in engine.subtasks("next")] == [None]


def test_a_crowd_is_cancelled_in_batches(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CANCELS_PER_TRANSACTION_MAX", 2)
    cancel(engine)
    assert [engine.canceller.tick(after(3)) for _ in range(3)] == [2, 1, 0]


def test_a_turn_of_the_loop_cancels_before_it_hands_out(engine: Engine) -> None:
    engine.take()
    engine.restart()
    cancel(engine)
    engine.clock.advance(5)
    engine.loop.turn()
    assert engine.take() == []
    assert codes(engine) == [ResultCode.CANCELLED] * 3
