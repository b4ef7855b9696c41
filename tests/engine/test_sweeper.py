"""For what nobody holds and what has run out of time: handed out again, or ended; nothing stays."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from builders import NOW, a_target, a_task, after
from engine_bench import Engine, began, say, settled, submitted
from fleetcron.dispatch.contract import Verdict
from fleetcron.dispatch.local import LocalLine
from fleetcron.domain.execution import Reference, ResultCode, Status
from fleetcron.engine import ledger
from fleetcron.engine import sweeper as module
from fleetcron.errors import Unavailable


@pytest.fixture
def engine(engine: Engine) -> Engine:
    """An engine whose execution e000001 has handed out three subtasks."""
    engine.add_servers(3)
    engine.add_tasks(a_task(targets=tuple(a_target(f"s{number}") for number in range(1, 4))))
    engine.fire()
    return engine


def codes(engine: Engine) -> list[ResultCode | None]:
    return [subtask.result_code for subtask in engine.subtasks()]


def test_what_is_held_and_in_time_is_left_alone(engine: Engine) -> None:
    engine.tell(began(ordinal=1))
    assert engine.sweeper.tick(after(2)) == 0
    assert engine.take() == []


def test_orphans_of_a_crash_are_handed_out_again_with_what_was_left(engine: Engine) -> None:
    engine.tell(began(ordinal=1), began(ordinal=2), submitted(ordinal=2))
    engine.restart()
    assert engine.sweeper.tick(after(2)) == 3
    left = engine.take()
    assert [command.ordinal for command in left] == [1, 2, 3]
    assert [command.began_at for command in left] == [after(1), after(1), None]
    assert [command.ticket for command in left] == [None, "ticket", None]
    assert [command.boot_marker for command in left] == ["b1", "b1", None]
    assert [command.sends for command in left] == [1, 1, 0]


def test_what_waited_when_the_process_died_is_handed_out_by_the_first_turn(engine: Engine) -> None:
    engine.add_tasks(a_task("late", targets=(a_target("s9"), a_target("s1")), next_fire_at=after(1)))
    engine.scheduler.tick(after(1))
    engine.restart()
    engine.clock.advance(2)
    engine.loop.turn()
    assert sorted(command.execution_id for command in engine.take()) == ["e000001"] * 3
    assert engine.subtasks("late")[1].result_code is ResultCode.CONFLICT


def test_an_orphan_is_handed_out_once(engine: Engine) -> None:
    engine.restart()
    assert engine.sweeper.tick(after(2)) == 3
    assert engine.sweeper.tick(after(4)) == 0
    assert len(engine.take()) == 3


def test_what_was_ended_is_no_orphan(engine: Engine) -> None:
    engine.tell(settled(ordinal=1), settled(ordinal=2, code=ResultCode.USERS))
    engine.restart()
    engine.sweeper.tick(after(2))
    assert [command.ordinal for command in engine.take()] == [3]


def test_what_was_given_up_is_handed_out_again(engine: Engine) -> None:
    engine.tell(began(ordinal=1))
    engine.hand_back(1)
    engine.sweeper.tick(after(2))
    (command,) = engine.take()
    assert (command.ordinal, command.began_at) == (1, after(1))


def test_a_crowd_of_orphans_is_handed_out_in_batches(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ORPHANS_PER_SWEEP_MAX", 2)
    engine.restart()
    assert [engine.sweeper.tick(after(seconds)) for seconds in (2, 4, 6)] == [2, 1, 0]
    assert sorted(command.ordinal for command in engine.take()) == [1, 2, 3]


def test_what_did_not_end_by_its_deadline_is_ended_as_timed_out(engine: Engine) -> None:
    engine.tell(began(ordinal=1), began(ordinal=2), settled(ordinal=3, code=ResultCode.USERS))
    assert engine.sweeper.tick(after(900 + module.GRACE_SECONDS)) == 0
    assert engine.sweeper.tick(after(900 + module.GRACE_SECONDS + 2)) == 2
    assert codes(engine) == [ResultCode.TIMEOUT, ResultCode.TIMEOUT, ResultCode.USERS]
    assert engine.record() == b"e000001 FAILED 3/0/3/0"
    assert not engine.is_held(("e000001", 1))


def test_what_nobody_began_in_time_is_ended_as_missed(engine: Engine) -> None:
    assert engine.sweeper.tick(after(300 + module.GRACE_SECONDS + 0.001)) == 3
    assert codes(engine) == [ResultCode.MISSED] * 3
    execution = engine.execution()
    assert (execution.status, execution.failed, execution.running) == (Status.FAILED, 3, 0)


def test_whoever_still_works_on_what_was_ended_is_told_to_stop(engine: Engine) -> None:
    engine.tell(began(ordinal=1))
    engine.sweeper.tick(after(2_000))
    ended = engine.subtasks()
    assert (
        engine.tell(began(ordinal=1, sends=2), submitted(ordinal=2), settled(ordinal=3)) == ["the subtask is over"] * 3
    )
    assert engine.subtasks() == ended


def test_what_is_found_after_a_long_sleep_is_looked_at_once_and_then_ends(engine: Engine) -> None:
    engine.tell(began(ordinal=1))
    engine.restart()
    assert engine.sweeper.tick(after(86_400)) == 3
    assert len(engine.take()) == 3
    assert engine.sweeper.tick(after(86_400 + module.GRACE_SECONDS - 1)) == 0
    assert engine.sweeper.tick(after(86_400 + module.GRACE_SECONDS + 1)) == 3
    assert engine.execution().status is Status.FAILED


def test_a_server_is_free_again_once_its_subtask_was_ended(engine: Engine) -> None:
    engine.tell(began(ordinal=1))
    engine.sweeper.tick(after(2_000))
    engine.add_tasks(a_task("next", next_fire_at=after(2_000)))
    engine.clock.advance(2_000)
    engine.fire()
    assert [command.execution_id for command in engine.take() if command.began_at is None][-1] == "e000002"


def test_it_sweeps_once_in_a_while(engine: Engine) -> None:
    engine.sweeper.tick(after(5))
    engine.hand_back(1)
    assert engine.sweeper.tick(after(5 + module.SWEEP_SECONDS - 0.001)) == 0
    assert engine.sweeper.tick(after(5 + module.SWEEP_SECONDS)) == 1


def test_what_was_only_just_handed_out_may_still_be_on_its_way(engine: Engine) -> None:
    engine.hand_back(1)
    assert engine.sweeper.tick(after(module.REPUBLISH_AFTER_SECONDS - 0.001)) == 0
    assert engine.sweeper.tick(after(module.REPUBLISH_AFTER_SECONDS + module.SWEEP_SECONDS)) == 1
    engine.hand_back(1)
    assert engine.sweeper.tick(after(2 * module.REPUBLISH_AFTER_SECONDS)) == 0


def test_a_clock_that_steps_back_by_an_hour_does_not_stop_the_sweeping_for_an_hour(engine: Engine) -> None:
    engine.sweeper.tick(NOW)
    engine.hand_back(1)
    assert engine.sweeper.tick(after(-3600)) == 1


def test_what_one_engine_has_just_given_the_time_to_look_another_does_not_end(engine: Engine) -> None:
    engine.tell(began(ordinal=1))
    engine.restart()
    other = module.Sweeper(engine.database, engine.line, say=say)
    assert engine.sweeper.tick(after(86_400)) == 3
    assert other.tick(after(86_401)) == 0


class Deaf(LocalLine):
    """A line that does not say what is lost, as long as it is out of order."""

    out_of_order = True

    def lost(self, references: Sequence[Reference]) -> list[Reference]:
        if self.out_of_order:
            raise Unavailable("no answer")
        return super().lost(references)


def test_while_the_line_does_not_answer_nothing_is_handed_out_again(engine: Engine) -> None:
    line = Deaf()
    sweeper = module.Sweeper(engine.database, line, say=say)
    assert sweeper.tick(after(10)) == 0
    line.out_of_order = False
    assert sweeper.tick(after(12)) == 3


def test_after_an_outage_nothing_is_ended_before_its_worker_could_be_heard(engine: Engine) -> None:
    engine.tell(*(began(ordinal=ordinal) for ordinal in (1, 2, 3)))
    line = Deaf()
    line.publish(engine.commands())
    sweeper = module.Sweeper(engine.database, line, say=say)
    assert sweeper.tick(after(1_000)) == 0
    line.out_of_order = False
    assert sweeper.tick(after(1_000 + module.GRACE_SECONDS - 1)) == 0
    assert sweeper.tick(after(1_000 + module.GRACE_SECONDS + 1)) == 3
    assert codes(engine) == [ResultCode.TIMEOUT] * 3


def test_in_an_outage_without_an_end_everything_ends(engine: Engine) -> None:
    """Promise 5."""
    engine.tell(began(ordinal=1))
    sweeper = module.Sweeper(engine.database, Deaf(), say=say)
    assert sweeper.tick(after(900 + module.OUTAGE_GRACE_SECONDS + 1)) == 3
    assert engine.execution().status is Status.FAILED


@pytest.mark.parametrize("begun", [False, True])
def test_what_is_lost_again_and_again_ends_when_its_time_is_over(engine: Engine, begun: bool) -> None:
    """Promise 5, where whoever takes a command cannot read it, or no line can carry it."""
    if begun:
        engine.tell(*(began(ordinal=ordinal) for ordinal in (1, 2, 3)))
    until = 900 if begun else 300
    for seconds in range(2, int(until + module.GRACE_SECONDS), 3):
        engine.line.withdraw(("e000001", ordinal) for ordinal in (1, 2, 3))
        assert engine.sweeper.tick(after(seconds)) == 3
        assert codes(engine) == [None] * 3
    engine.line.withdraw(("e000001", ordinal) for ordinal in (1, 2, 3))
    engine.sweeper.tick(after(until + module.GRACE_SECONDS + 1))
    assert codes(engine) == [ResultCode.TIMEOUT if begun else ResultCode.MISSED] * 3


def test_what_began_at_the_last_moment_is_not_ended_as_if_nothing_had_been_sent(engine: Engine) -> None:
    refused = Verdict(refused="the subtask has begun")
    end = settled(ordinal=1, code=ResultCode.MISSED, attempt=None)
    engine.tell(began(ordinal=1))
    with engine.database.transaction() as tx:
        assert ledger.enter(tx, [end], say).verdicts == [refused]
    assert engine.subtasks()[0].status is Status.RUNNING
