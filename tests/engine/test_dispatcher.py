"""From recorded subtasks to commands: recorded before told, one action per server, none too late."""

from __future__ import annotations

import pytest

from builders import NOW, a_target, a_task, after
from engine_bench import Engine, began, settled, submitted
from fleetcron.dispatch.contract import Command
from fleetcron.domain.execution import ResultCode, Status
from fleetcron.domain.task import Target, TaskType
from fleetcron.engine import dispatcher as module
from fleetcron.errors import Unavailable
from fleetcron.store import subtasks


def all_targets(count: int) -> tuple[Target, ...]:
    return tuple(a_target(f"s{number}") for number in range(1, count + 1))


def codes(engine: Engine, task_id: str = "t1") -> list[ResultCode | None]:
    return [subtask.result_code for subtask in engine.subtasks(task_id)]


def test_a_waiting_subtask_becomes_a_command_that_says_everything(engine: Engine) -> None:
    engine.add_servers(1)
    engine.add_tasks(a_task(enforcement=True, task_type=TaskType.STOP_SERVER))
    engine.scheduler.tick(NOW)
    assert engine.dispatcher.tick(after(0.25)) == 1
    assert engine.take() == [
        Command(
            execution_id="e000001",
            ordinal=1,
            server_id="s1",
            endpoint="lab",
            handle="h1",
            task_type=TaskType.STOP_SERVER,
            enforcement=True,
            start_until=after(300),
        )
    ]
    (subtask,) = engine.subtasks()
    assert (subtask.dispatched_at, subtask.status) == (after(0.25), Status.WAITING)


def test_nobody_is_told_before_it_is_committed(engine: Engine) -> None:
    engine.add_servers(1)
    engine.add_tasks(a_task())
    engine.scheduler.tick(NOW)
    with engine.database.transaction() as tx:
        tx.execute("CREATE TRIGGER refuse BEFORE UPDATE ON subtasks BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(Exception, match="no"):
        engine.dispatcher.tick(NOW)
    assert engine.take() == []
    assert not engine.line.is_live(("e000001", 1))
    with engine.database.transaction() as tx:
        tx.execute("DROP TRIGGER refuse")
    engine.dispatcher.tick(NOW)
    assert [command.ordinal for command in engine.take()] == [1]


def test_a_subtask_is_handed_out_once(engine: Engine) -> None:
    engine.add_servers(3)
    engine.add_tasks(a_task(targets=all_targets(3)))
    engine.fire()
    assert engine.dispatcher.tick(NOW) == 0
    assert [command.ordinal for command in engine.take()] == [1, 2, 3]


def test_two_tasks_on_one_server_at_once_the_older_execution_acts_and_the_other_says_why_not(engine: Engine) -> None:
    engine.add_servers(2)
    engine.add_tasks(a_task("a", next_fire_at=NOW, targets=all_targets(2)), a_task("b", next_fire_at=after(0.001)))
    engine.clock.advance(0.01)
    engine.fire()
    assert codes(engine, "a") == [None, None]
    assert codes(engine, "b") == [ResultCode.CONFLICT]
    refused = engine.execution("b")
    assert (refused.status, refused.failed, refused.running, refused.began_at) == (Status.FAILED, 1, 0, None)
    assert engine.record("b") == b"e000002 FAILED 1/0/1/0"
    assert len(engine.take()) == 2


def test_a_server_that_is_busy_since_an_earlier_turn_is_a_conflict_until_it_is_free(engine: Engine) -> None:
    engine.add_servers(1)
    engine.add_tasks(*(a_task(name, next_fire_at=after(at)) for name, at in (("a", 0), ("b", 10), ("c", 20))))
    engine.fire()
    engine.tell(began())
    engine.clock.advance(10)
    engine.fire()
    assert codes(engine, "b") == [ResultCode.CONFLICT]
    engine.tell(settled(seconds=12))
    engine.clock.advance(10)
    engine.fire()
    assert codes(engine, "c") == [None]
    assert [command.execution_id for command in engine.take()] == ["e000003"]


def test_a_conflict_fails_its_own_subtask_and_the_rest_of_the_execution_runs(engine: Engine) -> None:
    engine.add_servers(3)
    engine.add_tasks(a_task("a"))
    engine.fire()
    engine.add_tasks(a_task("b", targets=all_targets(3)))
    engine.fire()
    assert codes(engine, "b") == [ResultCode.CONFLICT, None, None]
    execution = engine.execution("b")
    assert (execution.status, execution.failed, execution.running) == (Status.WAITING, 1, 0)


def test_what_waits_beyond_its_limit_is_missed_and_never_told(engine: Engine) -> None:
    engine.add_servers(2)
    engine.add_tasks(a_task(targets=all_targets(2)))
    engine.scheduler.tick(after(299))
    engine.dispatcher.tick(after(300.001))
    assert codes(engine) == [ResultCode.MISSED, ResultCode.MISSED]
    assert engine.record() == b"e000001 FAILED 2/0/2/0"
    assert engine.take() == []


def test_what_waits_until_its_very_limit_is_told(engine: Engine) -> None:
    engine.add_servers(1)
    engine.add_tasks(a_task())
    engine.scheduler.tick(after(299))
    engine.dispatcher.tick(after(300))
    assert len(engine.take()) == 1


def test_no_more_are_live_than_the_line_may_hold(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIVE_MAX", 3)
    engine.add_servers(5)
    engine.add_tasks(a_task(targets=all_targets(5)))
    engine.fire()
    assert engine.dispatcher.tick(NOW) == 0
    assert engine.line.live_count() == 3
    engine.tell(settled(ordinal=2, code=ResultCode.USERS))
    assert engine.dispatcher.tick(NOW) == 1
    with engine.database.snapshot() as tx:
        assert sorted(ordinal for _, ordinal in subtasks.live(tx)) == [1, 3, 4]


def test_a_big_execution_is_handed_out_in_batches_that_lose_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COMMANDS_PER_TRANSACTION_MAX", 4)
    engine.add_servers(10)
    engine.add_tasks(a_task(targets=all_targets(10)))
    engine.scheduler.tick(NOW)
    assert [engine.dispatcher.tick(NOW) for _ in range(4)] == [4, 4, 2, 0]
    assert [command.ordinal for command in engine.take()] == list(range(1, 11))


def test_a_full_disk_tells_nobody(engine: Engine) -> None:
    engine.add_servers(600)
    engine.add_tasks(a_task(targets=all_targets(600)))
    engine.scheduler.tick(NOW)
    with engine.database.transaction() as tx:
        tx.execute("PRAGMA max_page_count = 1")
    with pytest.raises(Unavailable):
        engine.dispatcher.tick(NOW)
    assert engine.take() == []
    with engine.database.transaction() as tx:
        tx.execute("PRAGMA max_page_count = 1000000")
    assert engine.dispatcher.tick(NOW) == 600
    assert len(engine.take()) == 600


def test_a_command_carries_what_an_earlier_worker_left(engine: Engine) -> None:
    engine.add_servers(1)
    engine.add_tasks(a_task())
    engine.fire()
    engine.tell(began())
    engine.tell(submitted())
    with engine.database.snapshot() as tx:
        (due,) = subtasks.read_due(tx, [("e000001", 1)])
    command = module.command_for(due)
    assert (command.began_at, command.settle_until) == (after(1), after(900))
    assert (command.boot_marker, command.ticket, command.sends) == ("b1", "ticket", 1)
