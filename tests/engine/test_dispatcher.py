"""From recorded subtasks to commands: recorded before told, one action per server, none too late."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import pytest

from builders import NOW, Clock, a_server, a_target, a_task, after, in_threads
from engine_bench import Engine, began, say, settled, submitted
from fleetcron.dispatch.contract import Command, Event, Verdict
from fleetcron.dispatch.local import LocalLine
from fleetcron.domain.execution import ResultCode, Status
from fleetcron.domain.task import Target, TaskType
from fleetcron.engine import dispatcher as module
from fleetcron.engine.recorder import Recorder
from fleetcron.errors import Unavailable
from fleetcron.store import fleet, live, subtasks
from fleetcron.store.database import Database


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
    with engine.without("executions"), pytest.raises(Exception, match="executions"):
        engine.dispatcher.tick(NOW)
    assert engine.take() == []
    assert not engine.is_held(("e000001", 1))
    assert engine.subtasks()[0].dispatched_at is None
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
    with engine.database.snapshot() as tx:
        assert live.per_endpoint(tx) == {"lab": 3}
    engine.tell(settled(ordinal=2, code=ResultCode.USERS))
    assert engine.dispatcher.tick(NOW) == 1
    with engine.database.snapshot() as tx:
        assert sorted(live.handed_out(tx, until=NOW, now=NOW)) == [("e000001", number) for number in (1, 3, 4)]


def test_a_big_execution_is_handed_out_in_batches_that_lose_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COMMANDS_PER_TRANSACTION_MAX", 4)
    engine.add_servers(10)
    engine.add_tasks(a_task(targets=all_targets(10)))
    engine.scheduler.tick(NOW)
    assert [engine.dispatcher.tick(NOW) for _ in range(4)] == [4, 4, 2, 0]
    assert [command.ordinal for command in engine.take()] == list(range(1, 11))


def test_a_full_disk_tells_nobody(sqlite_engine: Engine) -> None:
    engine = sqlite_engine
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


def limit(engine: Engine, **endpoints: int) -> None:
    with engine.database.transaction() as tx:
        for name, concurrency_max in endpoints.items():
            tx.execute("INSERT INTO endpoints VALUES (?, 'simulated', 'default', ?)", (name, concurrency_max))


def live_now(engine: Engine) -> list[tuple[str, int]]:
    with engine.database.snapshot() as tx:
        return sorted(live.handed_out(tx, until=after(9_999), now=after(9_999)))


def test_an_endpoint_is_given_as_many_as_it_takes(engine: Engine) -> None:
    limit(engine, lab=2)
    engine.add_servers(4)
    engine.add_tasks(a_task(targets=all_targets(4)))
    engine.fire()
    assert live_now(engine) == [("e000001", 1), ("e000001", 2)]
    assert engine.dispatcher.tick(NOW) == 0
    engine.tell(settled(ordinal=1))
    assert engine.dispatcher.tick(NOW) == 1
    assert live_now(engine) == [("e000001", 2), ("e000001", 3)]


def test_a_full_endpoint_does_not_keep_the_others_back(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMMANDS_PER_TRANSACTION_MAX", 2)
    limit(engine, slow=1)
    slow = [a_server(number, endpoint="slow") for number in range(1, 6)]
    with engine.database.transaction() as tx:
        fleet.replace_inventory(tx, "p1", [*slow, a_server(6), a_server(7)], [])
    engine.add_tasks(a_task(targets=all_targets(7)))
    engine.scheduler.tick(NOW)
    for _ in range(4):
        engine.dispatcher.tick(NOW)
    assert live_now(engine) == [("e000001", 1), ("e000001", 6), ("e000001", 7)]


def test_an_execution_has_as_many_at_once_as_it_may(database: Database, clock: Clock) -> None:
    with closing(Engine(database, clock, executions_concurrency_max=2)) as engine:
        engine.add_servers(5)
        engine.add_tasks(a_task("a", targets=all_targets(4)), a_task("b", targets=(a_target("s5"),)))
        engine.fire()
        assert live_now(engine) == [("e000001", 1), ("e000001", 2), ("e000002", 1)]
        engine.tell(settled("e000001", 2))
        engine.dispatcher.tick(NOW)
        assert live_now(engine) == [("e000001", 1), ("e000001", 3), ("e000002", 1)]


def test_what_waits_for_room_beyond_its_limit_is_missed(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(engine, lab=1)
    engine.add_servers(3)
    engine.add_tasks(a_task(targets=all_targets(3)))
    engine.fire()
    engine.tell(began())
    assert engine.dispatcher.tick(after(300)) == 0
    monkeypatch.setattr(module, "LIVE_MAX", 1)
    assert engine.dispatcher.tick(after(300.001)) == 2
    assert codes(engine) == [None, ResultCode.MISSED, ResultCode.MISSED]


def test_a_busy_server_is_a_conflict_where_there_is_no_room_either(engine: Engine) -> None:
    limit(engine, lab=1)
    engine.add_servers(1)
    engine.add_tasks(a_task("a"))
    engine.fire()
    engine.add_tasks(a_task("b"))
    engine.fire()
    assert codes(engine, "b") == [ResultCode.CONFLICT]


def test_one_dispatcher_at_a_time_has_the_turn(postgresql_engine: Engine) -> None:
    engine = postgresql_engine
    engine.add_servers(1)
    engine.add_tasks(a_task())
    engine.scheduler.tick(NOW)
    with engine.database.transaction() as tx:
        assert tx.try_turn("dispatch")
        assert engine.dispatcher.tick(NOW) == 0
    assert engine.dispatcher.tick(NOW) == 1


def test_many_dispatchers_take_no_server_twice_and_keep_the_limits(database: Database, clock: Clock) -> None:
    """Promise 3, and the limits, across nodes."""
    with closing(Engine(database, clock, executions_concurrency_max=7)) as engine:
        limit(engine, lab=11)
        engine.add_servers(30)
        engine.add_tasks(*(a_task(f"t{number}", targets=all_targets(30)[number:]) for number in range(3)))
        engine.scheduler.tick(NOW)
        overfull: list[object] = []

        def dispatch() -> None:
            dispatcher = engine.another_dispatcher()
            for _ in range(30):
                dispatcher.tick(NOW)
                with engine.database.snapshot() as tx:
                    per_execution = live.per_execution(tx)
                    at_the_endpoint = live.per_endpoint(tx).get("lab", 0)
                if at_the_endpoint > 11 or max(per_execution.values(), default=0) > 7:
                    overfull.append((at_the_endpoint, per_execution))

        def record() -> None:
            recorder = Recorder(engine.database, Ends(engine), say=say)
            for _ in range(60):
                recorder.tick(NOW)

        in_threads(dispatch, dispatch, record)
        assert overfull == []
        for _ in range(200):
            Recorder(engine.database, Ends(engine), say=say).tick(NOW)
            engine.dispatcher.tick(NOW)
        assert [engine.execution(f"t{number}").ended_at is not None for number in range(3)] == [True] * 3
        assert live_now(engine) == []


class Ends(LocalLine):
    """A line at which a worker ends at once whatever is live."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine

    def take_events(self, count_max: int) -> list[Event]:
        return [settled(*reference) for reference in live_now(self._engine)[:count_max]]

    def answer(self, verdicts: Sequence[tuple[Event, Verdict]]) -> None:
        """Nobody waits for it."""


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
