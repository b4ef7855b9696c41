"""The engine's thread: every part has its turn, and no failure ends it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest

from builders import a_target, a_task, eventually
from engine_bench import Engine, began, settled
from fleetcron.domain.execution import Status
from fleetcron.engine import loop as module
from fleetcron.errors import Unavailable


@contextmanager
def running(engine: Engine) -> Iterator[None]:
    thread = threading.Thread(target=engine.loop.run)
    thread.start()
    try:
        yield
    finally:
        engine.loop.stop()
        thread.join(10)
        assert not thread.is_alive()


def test_one_turn_takes_a_fire_to_its_commands(engine: Engine) -> None:
    engine.add_servers(2)
    engine.add_tasks(a_task(targets=(a_target("s1"), a_target("s2"))))
    assert engine.loop.turn() > 0
    assert [command.ordinal for command in engine.take()] == [1, 2]
    assert engine.loop.turn() == 0


def test_a_turn_records_before_it_fires_so_that_a_server_set_free_can_be_used(engine: Engine) -> None:
    engine.add_servers(1)
    engine.add_tasks(a_task())
    engine.loop.turn()
    engine.tell(began())
    engine.report(settled())
    engine.add_tasks(a_task("t2"))
    engine.loop.turn()
    assert [command.execution_id for command in engine.take()] == ["e000002"]


def test_the_loop_runs_until_it_is_told_to_stop(engine: Engine) -> None:
    engine.add_servers(1)
    with running(engine):
        engine.add_tasks(a_task())
        engine.line.wake()
        eventually(lambda: engine.is_held(("e000001", 1)))


def test_a_turn_that_fails_is_logged_and_the_next_one_goes_on(
    engine: Engine, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BACK_OFF_SECONDS_MAX", 0.1)
    engine.add_servers(1)
    with caplog.at_level(logging.ERROR, logger=module.log.name), running(engine):
        with engine.without("live_actions"):
            engine.add_tasks(a_task())
            eventually(lambda: len(caplog.records) > 2)
        eventually(lambda: engine.is_held(("e000001", 1)))
    assert engine.execution().status is Status.WAITING


def test_what_the_engine_stands_on_being_away_is_logged_in_one_line_and_outlived(
    engine: Engine, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BACK_OFF_SECONDS_MAX", 0.1)
    away = threading.Event()
    away.set()

    def clock() -> datetime:
        if away.is_set():
            raise Unavailable("the database does not answer")
        return engine.clock()

    # Where machines share a database, its clock is the engine's.
    monkeypatch.setattr(engine.loop, "_clock", clock)
    engine.add_servers(1)
    engine.add_tasks(a_task())
    with caplog.at_level(logging.ERROR, logger=module.log.name), running(engine):
        eventually(lambda: len(caplog.records) > 2)
        away.clear()
        eventually(lambda: engine.is_held(("e000001", 1)))
    assert [record.exc_info for record in caplog.records] == [None] * len(caplog.records)
    assert "the database does not answer" in caplog.messages[0]


def test_a_loop_that_backs_off_stops_at_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE_SECONDS", 3_600.0)
    with engine.database.transaction() as tx:
        tx.execute("DROP TABLE tasks")
    with running(engine):
        pass


def test_one_part_that_fails_does_not_keep_the_sweeper_from_ending_what_is_overdue(engine: Engine) -> None:
    """Promise 5: everything ends, whatever else is broken."""
    engine.add_servers(1)
    engine.add_tasks(a_task())
    engine.loop.turn()
    engine.tell(began())
    with engine.database.transaction() as tx:
        tx.execute("DROP TABLE tasks")
    engine.clock.advance(3_600)
    for _ in range(3):
        with pytest.raises(Exception, match="tasks"):
            engine.loop.turn()
    assert engine.subtasks()[0].status is Status.FAILED
