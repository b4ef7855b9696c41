"""From events to history: each counts once, none after the end, and nobody goes on before the commit."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, cast

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import a_target, a_task, after, eventually, in_threads
from engine_bench import Engine, began, say, settled, submitted, taken_up
from fleetcron.dispatch.contract import Event, Verdict
from fleetcron.dispatch.local import LocalLine
from fleetcron.domain.execution import Evidence, ResultCode, Status
from fleetcron.engine import ledger
from fleetcron.engine import recorder as module
from fleetcron.errors import Unavailable
from fleetcron.store.database import Database, Transaction

OVER = "the subtask is over"
ANOTHERS = "another attempt carries the subtask out"


def stocked(engine: Engine) -> Engine:
    engine.add_servers(3)
    engine.add_tasks(a_task(targets=tuple(a_target(f"s{number}") for number in range(1, 4))))
    engine.fire()
    return engine


@pytest.fixture
def engine(engine: Engine) -> Engine:
    """An engine whose execution e000001 has handed out three subtasks."""
    return stocked(engine)


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


def test_the_same_began_again_is_accepted_again_and_counts_nothing(engine: Engine) -> None:
    engine.tell(began())
    assert engine.tell(began(), began()) == [None, None]
    assert counters(engine) == (Status.RUNNING, 0, 0, 1)
    assert engine.subtasks()[0].began_at == after(1)


def test_of_two_attempts_that_begin_the_first_does_and_the_other_is_refused(engine: Engine) -> None:
    assert engine.tell(began(attempt="a1"), began(attempt="a2")) == [None, ANOTHERS]
    assert engine.tell(began(attempt="a2"), submitted(attempt="a2"), settled(attempt="a2")) == [ANOTHERS] * 3
    assert counters(engine) == (Status.RUNNING, 0, 0, 1)
    assert engine.subtasks()[0].attempt == "a1"


def test_whoever_takes_a_subtask_up_is_told_what_was_left_and_the_one_before_is_refused(engine: Engine) -> None:
    engine.tell(began(), submitted())
    left = engine.take_up(taken_up(attempt="a2"))
    assert (left.began_at, left.settle_until, left.again) == (after(1), after(900), False)
    assert (left.boot_marker, left.ticket, left.sends) == ("b1", "ticket", 1)
    assert engine.tell(submitted(ticket="late"), began(sends=2), settled()) == [ANOTHERS] * 3
    assert engine.tell(began(sends=2, attempt="a2"), settled(attempt="a2")) == [None, None]
    assert engine.subtasks()[0].ticket is None


def test_what_was_taken_up_before_anybody_began_it_is_begun_by_whoever_did(engine: Engine) -> None:
    assert engine.take_up(taken_up(attempt="a2")).began_at is None
    assert engine.tell(began(attempt="a1"), began(attempt="a2")) == [ANOTHERS, None]


def test_what_is_over_is_not_taken_up(engine: Engine) -> None:
    engine.tell(settled(code=ResultCode.USERS))
    assert engine.tell(taken_up(attempt="a2")) == [OVER]


def test_the_same_end_again_is_accepted_again(engine: Engine) -> None:
    engine.tell(began())
    assert engine.tell(settled(), settled()) == [None, None]
    assert engine.tell(settled(seconds=50)) == [None]
    assert counters(engine) == (Status.RUNNING, 1, 0, 0)
    assert engine.subtasks()[0].ended_at == after(9)


def test_going_on_is_confirmed_and_not_counted_again(engine: Engine) -> None:
    engine.tell(began(), submitted())
    assert engine.tell(began(sends=2, seconds=30)) == [None]
    assert counters(engine) == (Status.RUNNING, 0, 0, 1)
    again = engine.subtasks()[0]
    assert (again.sends, again.boot_marker, again.ticket, again.began_at) == (2, "b2", None, after(1))


def test_going_on_with_what_never_began_is_rejected(engine: Engine) -> None:
    assert engine.tell(began(sends=2)) == ["the subtask has not begun"]
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
    assert not engine.is_held(("e000001", 1))
    assert engine.is_held(("e000001", 2))


def test_a_full_disk_keeps_the_events_and_answers_nobody(sqlite_engine: Engine) -> None:
    engine = stocked(sqlite_engine)
    with engine.database.transaction() as tx:
        tx.execute("PRAGMA max_page_count = 1")
    engine.report(began(ordinal=1), settled(ordinal=2, code=ResultCode.FAILED, message="x" * 200_000))
    for _ in range(3):
        with pytest.raises(Unavailable):
            engine.recorder.tick(engine.clock())
    engine.report(began(ordinal=3))
    assert counters(engine) == (Status.WAITING, 0, 0, 0)
    assert engine.is_held(("e000001", 2))
    with engine.database.transaction() as tx:
        tx.execute("PRAGMA max_page_count = 1000000")
    assert engine.recorder.tick(engine.clock()) == 2
    assert engine.recorder.tick(engine.clock()) == 1
    assert engine.answers() == [None, None, None]
    assert counters(engine) == (Status.RUNNING, 0, 1, 2)


class AnswerLost:
    """The database, of which the next answer to a commit gets lost on its way: committed, and nobody knows."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._losses_left = 1

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  (whatever the database has)
        return getattr(self._database, name)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with self._database.transaction() as tx:
            yield tx
        if self._losses_left:
            self._losses_left -= 1
            raise Unavailable("the connection was lost")


def test_what_was_committed_although_the_answer_was_lost_is_accepted_when_it_is_tried_again(engine: Engine) -> None:
    engine.tell(began(ordinal=3))
    engine.recorder = module.Recorder(cast("Database", AnswerLost(engine.database)), engine.line, say=say)
    engine.report(began(ordinal=1), settled(ordinal=2, code=ResultCode.USERS), settled(ordinal=3), submitted())
    with pytest.raises(Unavailable):
        engine.recorder.tick(engine.clock())
    assert counters(engine) == (Status.RUNNING, 1, 1, 1)
    assert engine.recorder.tick(engine.clock()) == 4
    assert engine.answers() == [None] * 4
    assert counters(engine) == (Status.RUNNING, 1, 1, 1)


def test_a_began_is_not_accepted_again_once_the_engine_has_ended_the_subtask(engine: Engine) -> None:
    """Its answer was lost, the deadline passed, and now nothing may be told to the server any more."""
    engine.tell(began())
    engine.tell(settled(code=ResultCode.TIMEOUT, attempt=None))
    assert engine.tell(began()) == [OVER]


def test_an_event_that_cannot_be_written_fails_alone(engine: Engine) -> None:
    """A lone surrogate comes from bytes that are no text; the database does not take it."""
    engine.report(settled(ordinal=1, code=ResultCode.FAILED, message="broken \udce9 text"), began(ordinal=2))
    for _ in range(2):
        with suppress(Exception):  # what matters is that it does not stay so
            engine.recorder.tick(engine.clock())
    assert engine.subtasks()[1].status is Status.RUNNING


def test_a_worker_whose_clock_is_slow_begins_nothing_too_late_and_its_subtask_ends_as_missed(engine: Engine) -> None:
    engine.tell(began(ordinal=1))
    engine.clock.advance(301)
    assert engine.tell(began(ordinal=2), began(ordinal=1)) == ["it is too late to begin", None]
    assert not engine.is_held(("e000001", 2))
    engine.clock.advance(40)
    engine.sweeper.tick(engine.clock())
    engine.clock.advance(41)
    engine.sweeper.tick(engine.clock())
    assert engine.subtasks()[1].result_code is ResultCode.MISSED
    assert engine.subtasks()[0].status is Status.RUNNING


class Elsewhere(LocalLine):
    """A line whose worker is at another site."""

    def speaks_for(self, event: Event, endpoint: str) -> bool:
        return (event.execution_id, endpoint) != ("e000001", "lab")


def test_a_worker_of_another_site_cannot_speak_of_a_subtask(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    engine.tell(began())
    before = engine.subtasks()
    engine.line = Elsewhere()
    engine.recorder = module.Recorder(engine.database, engine.line, say=say)
    events: list[Event] = [taken_up(attempt="a2"), settled(), began(ordinal=2)]
    assert engine.tell(*events) == ["the subtask is another site's"] * 3
    assert engine.subtasks() == before
    assert caplog.messages[0] == (
        "execution e000001 subtask 1: TakenUp from another site than its endpoint's was refused"
    )


def test_a_batch_has_a_limit_and_the_rest_comes_next(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVENTS_PER_TRANSACTION_MAX", 2)
    engine.report(*(began(ordinal=ordinal) for ordinal in (1, 2, 3)))
    assert [engine.recorder.tick(engine.clock()) for _ in range(3)] == [2, 1, 0]
    assert engine.answers() == [None, None, None]


ATTEMPTS = st.sampled_from(["a1", "a2"])
EVENTS = st.one_of(
    st.builds(taken_up, ordinal=st.integers(1, 4), attempt=ATTEMPTS),
    st.builds(began, ordinal=st.integers(1, 4), sends=st.integers(1, 3), attempt=ATTEMPTS),
    st.builds(submitted, ordinal=st.integers(1, 4), attempt=ATTEMPTS),
    st.builds(
        settled,
        ordinal=st.integers(1, 4),
        code=st.sampled_from([None, ResultCode.FAILED, ResultCode.MISSED]),
        attempt=ATTEMPTS | st.none(),
    ),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(EVENTS, min_size=1, max_size=6), min_size=1, max_size=6))
def test_whatever_is_said_the_counters_add_up_and_an_end_never_moves(
    engine: Engine, batches: list[list[Event]]
) -> None:
    engine.clock.advance(86_400 * 2)  # a fresh execution for every example
    for live in engine.subtasks():
        if live.ended_at is None:
            engine.tell(settled(live.execution_id, live.ordinal, attempt=None))
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


class Script(LocalLine):
    """A line whose events are written down beforehand, batch for batch."""

    def __init__(self, batches: list[list[Event]]) -> None:
        super().__init__()
        self._batches = batches
        self.verdicts: list[Verdict] = []

    def take_events(self, count_max: int) -> list[Event]:
        batch = self._batches.pop(0) if self._batches else []
        assert len(batch) <= count_max
        return batch

    def answer(self, verdicts: Sequence[tuple[Event, Verdict]]) -> None:
        self.verdicts += [verdict for _, verdict in verdicts]


def record_all(engine: Engine, line: Script) -> None:
    recorder = module.Recorder(engine.database, line, say=say)
    while recorder.tick(engine.clock()):
        pass


def fresh(engine: Engine, *, executions: int, servers: int) -> list[str]:
    """Executions of all of so many servers each, one after the other; their ids."""
    engine.add_servers(servers)
    targets = tuple(a_target(f"s{number}") for number in range(1, servers + 1))
    engine.add_tasks(*(a_task(f"f{number}", targets=targets) for number in range(executions)))
    engine.scheduler.tick(engine.clock())
    return [engine.executions(f"f{number}")[-1].execution_id for number in range(executions)]


def test_of_two_recorders_that_finish_an_execution_together_one_seals_it(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", ledger.__name__)
    keys = fresh(engine, executions=10, servers=4)
    lines = [
        Script([[event] for key in keys for event in (began(key, ordinal), settled(key, ordinal))])
        for ordinal in (1, 2, 3, 4)
    ]
    in_threads(*(partial(record_all, engine, line) for line in lines))
    assert [verdict for line in lines for verdict in line.verdicts if verdict.refused] == []
    for number, key in enumerate(keys):
        execution = engine.execution(f"f{number}")
        assert (execution.status, execution.succeeded, execution.running) == (Status.SUCCESS, 4, 0)
        assert engine.record(f"f{number}") == f"{key} SUCCESS 4/4/0/0".encode()
        assert len([message for message in caplog.messages if key in message]) == 1


def test_a_recorder_waits_for_the_one_that_has_moved_the_counters_and_then_seals(postgresql_engine: Engine) -> None:
    engine = postgresql_engine
    (key,) = fresh(engine, executions=1, servers=2)
    sealed: list[list[str]] = []

    def finish(ordinal: int) -> None:
        with engine.database.transaction() as tx:
            entry = ledger.enter(tx, [settled(key, ordinal)], say)
            sealed.append([execution.execution_id for execution in entry.sealed])

    with engine.database.transaction() as tx:
        assert ledger.enter(tx, [settled(key, 1)], say).sealed == []
        other = threading.Thread(target=finish, args=(2,))
        other.start()
        eventually(lambda: _waits_for_a_lock(engine))
        assert sealed == []
    other.join(10)
    assert sealed == [[key]]
    assert engine.record("f0") == f"{key} SUCCESS 2/2/0/0".encode()


def _waits_for_a_lock(engine: Engine) -> bool:
    with engine.database.snapshot() as tx:
        (count,) = tx.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        ).fetchone()
    return bool(count)


@pytest.mark.parametrize("seed", range(5))
def test_many_recorders_of_whatever_events_wait_for_nobody_in_a_ring_and_the_counters_are_the_tally(
    engine: Engine, seed: int
) -> None:
    keys = fresh(engine, executions=5, servers=8)
    chance = random.Random(seed)  # noqa: S311  (nothing to guess)

    def batches() -> list[list[Event]]:
        return [[_any_event(chance, keys) for _ in range(chance.randint(1, 40))] for _ in range(25)]

    in_threads(*(partial(record_all, engine, Script(batches())) for _ in range(4)))
    for number in range(5):
        execution = engine.execution(f"f{number}")
        statuses = [share.status for share in engine.subtasks(f"f{number}")]
        assert execution.succeeded == statuses.count(Status.SUCCESS)
        assert execution.failed == statuses.count(Status.FAILED)
        assert execution.running == statuses.count(Status.RUNNING)
        assert (execution.ended_at is not None) == (execution.succeeded + execution.failed == 8)


def _any_event(chance: random.Random, keys: list[str]) -> Event:
    key, ordinal, attempt = chance.choice(keys), chance.randint(1, 8), chance.choice(["a1", "a2"])
    events: list[Event] = [
        taken_up(key, ordinal, attempt=attempt),
        began(key, ordinal, sends=chance.randint(1, 3), attempt=attempt),
        submitted(key, ordinal, attempt=attempt),
        settled(key, ordinal, code=chance.choice([None, ResultCode.FAILED]), attempt=attempt),
    ]
    return chance.choice(events)
