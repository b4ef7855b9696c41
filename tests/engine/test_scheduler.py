"""From due tasks to recorded executions: once, in time or with the reason why not, each task for itself."""

from __future__ import annotations

import threading
from contextlib import closing, suppress
from datetime import UTC, date, datetime, time, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import NOW, Clock, a_group, a_rule, a_target, a_task, after, in_threads, insert_projects
from engine_bench import Engine
from fleetcron.domain.execution import ResultCode, Status
from fleetcron.domain.schedule import Cycle
from fleetcron.domain.task import Change, LateLimits, TargetKind, TaskType, change
from fleetcron.engine import scheduler as module
from fleetcron.errors import FleetcronError
from fleetcron.store import tasks
from fleetcron.store.database import Database
from fleetcron.store.rows import text_of
from fleetcron.store.sqlite import SqliteDatabase

DAY_SECONDS = 86_400.0
RACED_FIRES = 1_000
GROUP = TargetKind.SERVER_GROUP


def fires_of(engine: Engine, task_id: str = "t1") -> list[datetime]:
    return [execution.fire_at for execution in engine.executions(task_id)]


def tick_through(engine: Engine) -> None:
    """Tick until nothing is due any more."""
    for _ in range(1_000):
        if not engine.scheduler.tick(engine.clock()):
            return
    raise AssertionError("there is always something due")


def break_rule(engine: Engine, task_id: str) -> None:
    """Make a task that cannot be planned, as an older or a newer version may have left it."""
    with engine.database.transaction() as tx:
        tx.execute("UPDATE tasks SET rule = '{}' WHERE task_id = ?", (task_id,))


def edit(engine: Engine, asked: Change, task_id: str = "t1") -> None:
    with engine.database.transaction() as tx:
        tasks.replace(tx, change(tasks.read(tx, [task_id])[0], asked, engine.clock()))


def test_a_fire_becomes_an_execution_with_its_subtasks_and_the_task_goes_on(engine: Engine) -> None:
    engine.add_servers(3, [a_group()], group_id="g1")
    engine.add_tasks(a_task(targets=(a_target("s3"), a_target("g1", GROUP))))
    assert engine.scheduler.tick(after(0.5)) == 1
    execution = engine.execution()
    assert (execution.fire_at, execution.created_at, execution.start_until) == (NOW, after(0.5), after(300))
    assert (execution.ordinal, execution.total, execution.status) == (1, 3, Status.WAITING)
    assert [subtask.server_id for subtask in engine.subtasks()] == ["s3", "s1", "s2"]
    task = engine.task()
    assert (task.last_ordinal, task.next_fire_at) == (1, after(DAY_SECONDS))


def test_nothing_is_told_to_anybody_here(engine: Engine) -> None:
    engine.add_servers(1)
    engine.add_tasks(a_task())
    engine.scheduler.tick(NOW)
    assert engine.take() == []
    assert engine.subtasks()[0].dispatched_at is None


def test_what_is_not_due_does_not_fire(engine: Engine) -> None:
    engine.add_servers(1)
    engine.add_tasks(
        a_task("later", next_fire_at=after(0.001)),
        a_task("off", enabled=False, next_fire_at=None),
        a_task("gone", deleted_at=NOW, next_fire_at=None),
    )
    assert engine.scheduler.tick(NOW) == 0
    assert [fires_of(engine, task_id) for task_id in ("later", "off", "gone")] == [[], [], []]


def test_a_deleted_task_does_not_fire(engine: Engine) -> None:
    engine.add_servers(1)
    engine.add_tasks(a_task())
    with engine.database.transaction() as tx:
        tasks.delete(tx, "p1", ["t1"], NOW)
    assert engine.scheduler.tick(after(1)) == 0
    assert engine.executions() == []


def test_ticking_again_does_not_fire_again(engine: Engine) -> None:
    engine.add_servers(1)
    engine.add_tasks(a_task())
    for _ in range(3):
        engine.scheduler.tick(after(1))
    assert fires_of(engine) == [NOW]


def test_a_once_task_fires_once_and_is_done(engine: Engine) -> None:
    engine.add_servers(1)
    engine.add_tasks(a_task(rule=a_rule(Cycle.ONCE)))
    engine.scheduler.tick(NOW)
    engine.scheduler.tick(after(DAY_SECONDS))
    assert fires_of(engine) == [NOW]
    assert engine.task().next_fire_at is None


def test_the_members_of_a_group_are_those_of_the_moment_of_the_fire(engine: Engine) -> None:
    engine.add_tasks(a_task(targets=(a_target("g1", GROUP),)))
    engine.add_servers(2, [a_group()], group_id="g1")
    engine.scheduler.tick(NOW)
    engine.add_servers(3, [a_group()], group_id="g1")
    engine.scheduler.tick(after(DAY_SECONDS))
    assert [execution.total for execution in engine.executions()] == [2, 3]


def test_an_empty_group_is_a_success_that_is_over_at_once(engine: Engine) -> None:
    engine.add_servers(0, [a_group()])
    engine.add_tasks(a_task(targets=(a_target("g1", GROUP),)))
    engine.scheduler.tick(NOW)
    execution = engine.execution()
    assert (execution.status, execution.total, execution.ended_at) == (Status.SUCCESS, 0, NOW)
    assert engine.record() == b"e000001 SUCCESS 0/0/0/0"


def test_a_target_that_does_not_exist_is_a_failed_subtask_and_the_others_run(engine: Engine) -> None:
    engine.add_servers(1)
    engine.add_tasks(a_task(targets=(a_target("nobody"), a_target("s1"))))
    engine.scheduler.tick(NOW)
    assert [subtask.result_code for subtask in engine.subtasks()] == [ResultCode.NOT_FOUND, None]
    assert engine.execution().status is Status.WAITING


def test_an_execution_of_nothing_that_exists_is_sealed_at_once(engine: Engine) -> None:
    engine.add_tasks(a_task(targets=(a_target("nobody"),)))
    engine.scheduler.tick(NOW)
    assert engine.record() == b"e000001 FAILED 1/0/1/0"


def test_many_schedulers_fire_once(engine: Engine) -> None:
    engine.add_servers(1)
    task_ids = [f"t{number}" for number in range(40)]
    engine.add_tasks(*(a_task(task_id, next_fire_at=after(number % 3)) for number, task_id in enumerate(task_ids)))
    gate = threading.Barrier(6)

    def tick() -> None:
        scheduler = engine.another_scheduler()
        gate.wait()
        for seconds in (0, 1, 2, 2, DAY_SECONDS, DAY_SECONDS + 2, 1):
            scheduler.tick(after(seconds))

    threads = [threading.Thread(target=tick) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for task_id in task_ids:
        recorded = engine.executions(task_id)
        first = recorded[0].fire_at
        # The rule's hour is twelve, so the second fire is the next day's.
        assert [execution.fire_at for execution in recorded] == [first, after(DAY_SECONDS)]
        assert [execution.ordinal for execution in recorded] == [1, 2]
        assert engine.task(task_id).last_ordinal == 2


def test_many_schedulers_on_one_task_number_a_thousand_fires_without_a_gap(engine: Engine) -> None:
    """Promise 2, on however many nodes."""
    engine.add_servers(1)
    engine.add_tasks(a_task())
    last = after((RACED_FIRES - 1) * DAY_SECONDS)

    def tick() -> None:
        scheduler = engine.another_scheduler()
        # Nothing dealt with means that another has the task, or that all is done.
        while scheduler.tick(last) or engine.task().last_ordinal < RACED_FIRES:
            pass

    in_threads(*[tick] * 8)
    with engine.database.snapshot() as tx:
        rows = tx.execute("SELECT ordinal, fire_at FROM executions WHERE task_id = 't1' ORDER BY ordinal").fetchall()
        (subtask_count,) = tx.execute("SELECT count(*) FROM subtasks").fetchone()
    assert [ordinal for ordinal, _ in rows] == list(range(1, RACED_FIRES + 1))
    assert [fire_at for _, fire_at in rows] == [text_of(after(day * DAY_SECONDS)) for day in range(RACED_FIRES)]
    assert subtask_count == RACED_FIRES


def test_an_edit_waits_for_the_fire_that_is_just_recorded(postgresql_engine: Engine) -> None:
    """Written back as it was before the fire, the task would give its ordinal twice."""
    engine = postgresql_engine
    engine.add_servers(1)
    engine.add_tasks(a_task())

    def edit_names() -> None:
        for number in range(40):
            with engine.database.transaction() as tx:
                task = tasks.lock(tx, "p1", "t1")
                assert task is not None
                tasks.replace(tx, msgspec.structs.replace(task, name=f"name {number}"))

    def fire() -> None:
        for day in range(40):
            while engine.task().last_ordinal <= day:
                engine.scheduler.tick(after(day * DAY_SECONDS))

    in_threads(edit_names, edit_names, fire)
    assert [execution.ordinal for execution in engine.executions()] == list(range(1, 41))
    assert engine.task().last_ordinal == 40
    assert engine.task().name == "name 39"


def test_a_clock_that_steps_back_fires_nothing_twice(engine: Engine) -> None:
    engine.add_servers(1)
    engine.add_tasks(a_task())
    engine.scheduler.tick(after(1))
    for seconds in (-3600, -1, 0, 1, 60):
        engine.scheduler.tick(after(seconds))
    assert fires_of(engine) == [NOW]


def test_an_edit_while_the_clock_is_back_does_not_bring_a_fire_back(engine: Engine) -> None:
    engine.add_servers(1)
    engine.add_tasks(a_task(), a_task("other"))
    engine.scheduler.tick(engine.clock.advance(1))
    engine.clock.advance(-3600)
    edit(engine, Change(task={"enabled": False}))
    edit(engine, Change(task={"enabled": True}))
    assert engine.task().next_fire_at == NOW
    engine.clock.advance(3600)
    tick_through(engine)
    assert fires_of(engine) == [NOW]
    assert engine.task().next_fire_at == after(DAY_SECONDS)
    assert engine.task().last_ordinal == 1


def test_a_fire_that_would_come_twice_does_not_keep_the_others_back(engine: Engine) -> None:
    engine.add_servers(1)
    engine.add_tasks(a_task())
    engine.scheduler.tick(NOW)
    with engine.database.transaction() as tx:
        tasks.advance(tx, [(engine.task(), 1, NOW)])
    engine.add_tasks(a_task("other"))
    engine.scheduler.tick(after(1))
    assert (fires_of(engine), fires_of(engine, "other")) == ([NOW], [NOW])


def test_a_fire_slept_through_within_the_limit_runs_late(engine: Engine) -> None:
    engine.add_servers(1)
    engine.add_tasks(a_task())
    engine.scheduler.tick(after(300))
    assert engine.execution().status is Status.WAITING
    assert engine.execution().start_until == after(300)


def test_a_fire_found_after_the_limit_is_recorded_as_missed_with_its_reason(engine: Engine) -> None:
    engine.add_servers(2)
    engine.add_tasks(a_task(targets=(a_target("s1"), a_target("s2"))))
    engine.scheduler.tick(after(300.001))
    execution = engine.execution()
    assert (execution.status, execution.failed, execution.ended_at) == (Status.FAILED, 2, after(300.001))
    assert {subtask.result_code for subtask in engine.subtasks()} == {ResultCode.MISSED}
    message = engine.subtasks()[0].result_message
    assert message is not None
    assert "300 s after its time" in message
    assert engine.record() == b"e000001 FAILED 2/0/2/0"
    assert engine.task().next_fire_at == after(DAY_SECONDS)


@pytest.mark.parametrize(
    ("task_type", "seconds", "status"),
    [
        (TaskType.REINSTALL_OS, 4, Status.WAITING),
        (TaskType.REINSTALL_OS, 6, Status.FAILED),
        (TaskType.RESTART_SERVER, 6, Status.WAITING),
        (TaskType.STOP_SERVER, 6, Status.WAITING),
        (TaskType.START_SERVER, 6, Status.WAITING),
    ],
)
def test_a_reinstallation_is_not_run_late(engine: Engine, task_type: TaskType, seconds: int, status: Status) -> None:
    engine.add_servers(1)
    engine.add_tasks(a_task(task_type=task_type))
    engine.scheduler.tick(after(seconds))
    assert engine.execution().status is status


def test_of_many_fires_slept_through_only_the_newest_runs_and_none_is_silent(engine: Engine) -> None:
    engine.add_servers(1)
    engine.add_tasks(a_task())
    engine.clock.advance(3 * DAY_SECONDS + 10)
    tick_through(engine)
    recorded = engine.executions()
    assert [execution.fire_at for execution in recorded] == [after(day * DAY_SECONDS) for day in range(4)]
    assert [execution.status for execution in recorded] == [Status.FAILED] * 3 + [Status.WAITING]
    assert [execution.ordinal for execution in recorded] == [1, 2, 3, 4]
    assert engine.task().next_fire_at == after(4 * DAY_SECONDS)


def test_an_older_fire_is_missed_even_within_its_limit_when_a_newer_is_due(database: Database, clock: Clock) -> None:
    engine = Engine(database, clock, late_limits=LateLimits(default_seconds=5 * 86_400))
    engine.add_servers(1)
    engine.add_tasks(a_task())
    clock.advance(2 * DAY_SECONDS)
    tick_through(engine)
    assert [execution.status for execution in engine.executions()] == [Status.FAILED, Status.FAILED, Status.WAITING]
    engine.close()


def test_a_task_that_cannot_be_planned_is_set_aside_alone_and_tried_again(engine: Engine) -> None:
    engine.add_servers(1)
    engine.add_tasks(*(a_task(task_id, next_fire_at=NOW) for task_id in ("a", "broken", "z")))
    break_rule(engine, "broken")
    engine.scheduler.tick(NOW)
    assert [len(fires_of(engine, task_id)) for task_id in ("a", "broken", "z")] == [1, 0, 1]
    engine.add_tasks(a_task("later", next_fire_at=after(1)))
    engine.scheduler.tick(after(1))
    assert fires_of(engine, "later") == [after(1)]
    with engine.database.transaction() as tx:
        fixed = msgspec.structs.replace(a_task("broken"), next_fire_at=NOW)
        tasks.replace(tx, fixed)
    engine.scheduler.tick(after(module.SET_ASIDE_SECONDS + 1))
    assert fires_of(engine, "broken") == [NOW]


def test_tasks_set_aside_do_not_fill_the_places_of_the_others(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRES_PER_TRANSACTION_MAX", 3)
    engine.add_servers(1)
    for number in range(7):
        engine.add_tasks(a_task(f"broken{number}", next_fire_at=after(-10)))
        break_rule(engine, f"broken{number}")
    engine.add_tasks(*(a_task(f"t{number}") for number in range(7)))
    for _ in range(10):
        engine.scheduler.tick(NOW)
    assert [fires_of(engine, f"t{number}") for number in range(7)] == [[NOW]] * 7


def test_a_database_that_is_full_for_a_moment_sets_no_task_aside(sqlite_engine: Engine) -> None:
    engine = sqlite_engine
    engine.add_servers(1)
    engine.add_tasks(*(a_task(f"t{number}", targets=(a_target("x" * 100),) * 40) for number in range(50)))
    with engine.database.transaction() as tx:
        tx.execute("PRAGMA max_page_count = 1")
    # Whether it raises or logs is its own affair.
    with suppress(FleetcronError):
        engine.scheduler.tick(NOW)
    assert engine.executions("t49") == []
    with engine.database.transaction() as tx:
        tx.execute("PRAGMA max_page_count = 1000000")
    engine.scheduler.tick(after(1))
    assert [number for number in range(50) if not fires_of(engine, f"t{number}")] == []


def test_an_edit_between_two_looks_is_obeyed(engine: Engine) -> None:
    engine.add_servers(1)
    engine.add_tasks(a_task(next_fire_at=after(10)))
    engine.scheduler.tick(after(9))
    engine.clock.advance(9)
    edit(engine, Change(task={"task_type": TaskType.STOP_SERVER}, rule={"at": time(12, 0, 20)}))
    engine.scheduler.tick(after(10))
    assert engine.executions() == []
    engine.scheduler.tick(after(20))
    assert engine.execution().task_type is TaskType.STOP_SERVER


def test_a_repeated_hour_fires_once_and_a_skipped_one_is_not_lost(engine: Engine) -> None:
    engine.add_servers(1)
    spring = datetime(2026, 3, 8, 2, tzinfo=UTC)
    engine.add_tasks(
        a_task(
            rule=a_rule(zone="America/New_York", at=time(2, 30)),
            anchor=date(2026, 3, 7),
            next_fire_at=datetime(2026, 3, 7, 7, 30, tzinfo=UTC),
        ),
        a_task(
            "autumn",
            rule=a_rule(zone="America/New_York", at=time(1, 30)),
            anchor=date(2026, 10, 31),
            next_fire_at=datetime(2026, 10, 31, 5, 30, tzinfo=UTC),
        ),
    )
    for hours in range(-24, 48):
        engine.scheduler.tick(spring + timedelta(hours=hours, minutes=30))
    for hours in range(-48, 24):
        engine.scheduler.tick(datetime(2026, 11, 1, 12, 30, tzinfo=UTC) + timedelta(hours=hours))
    assert [fire.isoformat() for fire in fires_of(engine)[:3]] == [
        "2026-03-07T07:30:00+00:00",
        "2026-03-08T07:30:00+00:00",
        "2026-03-09T06:30:00+00:00",
    ]
    assert [fire.isoformat() for fire in fires_of(engine, "autumn")] == [
        "2026-10-31T05:30:00+00:00",
        "2026-11-01T05:30:00+00:00",
        "2026-11-02T06:30:00+00:00",
    ]


@settings(max_examples=40, deadline=None)
@given(steps=st.lists(st.integers(-30, 200), min_size=1, max_size=25))
def test_whatever_the_clock_does_every_fire_is_recorded_once_in_its_order(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int]
) -> None:
    fired: list[datetime] = []
    with closing(SqliteDatabase(tmp_path_factory.mktemp("walk"))) as database, database.transaction() as tx:
        insert_projects(tx)
    with closing(SqliteDatabase(database.folder)) as database, closing(Engine(database, Clock(NOW))) as engine:
        engine.add_servers(1)
        engine.add_tasks(a_task())
        for hours in steps:
            engine.clock.advance(hours * 3600)
            tick_through(engine)
            while after(len(fired) * DAY_SECONDS) <= engine.clock():
                fired.append(after(len(fired) * DAY_SECONDS))
        assert fires_of(engine) == fired
        assert [execution.ordinal for execution in engine.executions()] == list(range(1, len(fired) + 1))
