"""The one place where subtasks end: the first end wins, the last one seals."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import permutations

import pytest

from builders import NOW, a_subtask, after, an_execution
from engine_bench import began, say, settled, taken_up
from fleetcron.dispatch.contract import ACCEPTED, Event, Verdict
from fleetcron.domain.execution import Execution, ResultCode, Status
from fleetcron.engine import ledger
from fleetcron.engine.steps import FOREIGN, OVER, TOO_LATE
from fleetcron.store import executions, subtasks
from fleetcron.store.database import Database, Transaction


@pytest.fixture
def tx(database: Database) -> Iterator[Transaction]:
    """A transaction in which e1 has three live subtasks, of which the first two run."""
    with database.transaction() as tx:
        executions.insert(tx, [an_execution("e1", total=3)])
        subtasks.insert(tx, [a_subtask(ordinal) for ordinal in (1, 2, 3)])
        subtasks.dispatch(tx, subtasks.waiting(tx, 10, NOW), NOW)
        ledger.enter(tx, [began("e1", 1), began("e1", 2)], say)
        yield tx


def only(tx: Transaction) -> Execution:
    return executions.read(tx, ["e1"])[0]


def test_an_end_moves_the_counters_and_is_answered_as_over(tx: Transaction) -> None:
    assert ledger.enter(tx, [settled("e1", 1)], say) == ledger.Entry(verdicts=[Verdict(over=True)], sealed=[])
    execution = only(tx)
    assert (execution.status, execution.succeeded, execution.failed, execution.running) == (Status.RUNNING, 1, 0, 1)


def test_an_end_before_the_beginning_takes_nothing_from_the_running(tx: Transaction) -> None:
    ledger.enter(tx, [settled("e1", 3, code=ResultCode.MISSED)], say)
    execution = only(tx)
    assert (execution.failed, execution.running) == (1, 2)


def test_a_second_end_changes_nothing_and_is_refused(tx: Transaction) -> None:
    first, second = settled("e1", 1), settled("e1", 1, code=ResultCode.FAILED)
    entry = ledger.enter(tx, [first, second], say)
    assert [verdict.refused is None for verdict in entry.verdicts] == [True, False]
    assert ledger.references([first, second], entry) == [("e1", 1)]
    assert ledger.enter(tx, [second], say).accepted_count == 0
    assert (only(tx).succeeded, only(tx).failed) == (1, 0)


def test_the_earliest_beginning_begins_the_execution(tx: Transaction) -> None:
    executions.insert(tx, [an_execution("e2", task_id="t2", total=3)])
    subtasks.insert(tx, [a_subtask(ordinal, "e2", endpoint="other") for ordinal in (1, 2, 3)])
    ledger.enter(tx, [began("e2", 1, seconds=5), began("e2", 2, seconds=3), began("e2", 3, seconds=4)], say)
    begun = executions.read(tx, ["e2"])[0]
    assert (begun.status, begun.running, begun.began_at) == (Status.RUNNING, 3, after(3))


def test_what_begins_and_ends_in_one_batch_is_counted_once(tx: Transaction) -> None:
    ledger.enter(tx, [taken_up("e1", 3), began("e1", 3), settled("e1", 3)], say)
    assert (only(tx).succeeded, only(tx).running) == (1, 2)


def test_events_of_many_executions_move_each_its_own_counters(tx: Transaction) -> None:
    executions.insert(tx, [an_execution("e2", task_id="t2", total=1)])
    subtasks.insert(tx, [a_subtask(1, "e2", endpoint="other")])
    entry = ledger.enter(tx, [began("e2", 1), settled("e1", 2), settled("e2", 1)], say)
    assert [execution.execution_id for execution in entry.sealed] == ["e2"]
    assert (only(tx).succeeded, only(tx).running) == (1, 1)


def test_by_the_engines_clock_nothing_begins_too_late_and_what_has_begun_goes_on(tx: Transaction) -> None:
    late = only(tx).start_until + timedelta(seconds=1)
    events: list[Event] = [began("e1", 3), began("e1", 1), began("e1", 2, sends=2)]
    assert ledger.enter(tx, events, say, now=late).verdicts == [TOO_LATE, ACCEPTED, ACCEPTED]
    assert only(tx).running == 2
    assert ledger.enter(tx, [began("e1", 3)], say, now=only(tx).start_until).verdicts == [ACCEPTED]


def test_another_sites_word_moves_nothing_and_what_is_over_is_over_for_all(tx: Transaction) -> None:
    def nobody(event: Event, endpoint: str) -> bool:
        assert (event.execution_id, endpoint) == ("e1", "lab")
        return False

    events: list[Event] = [
        taken_up("e1", 3),
        began("e1", 3),
        settled("e1", 1),
        settled("e1", 2, code=ResultCode.FAILED),
    ]
    assert ledger.enter(tx, events, say, speaks_for=nobody).verdicts == [FOREIGN] * 4
    assert (only(tx).succeeded, only(tx).failed, only(tx).running) == (0, 0, 2)
    ledger.enter(tx, [settled("e1", 1)], say)
    assert ledger.enter(tx, [taken_up("e1", 1, attempt="a2")], say, speaks_for=nobody).verdicts == [OVER]


@pytest.mark.parametrize("order", list(permutations((1, 2, 3))))
def test_whoever_ends_last_seals_the_whole(tx: Transaction, order: tuple[int, ...]) -> None:
    for ordinal in order:
        assert executions.stretch(tx, "t1", 1, 1) == [only(tx)]
        code = ResultCode.FAILED if ordinal == 2 else None
        ledger.enter(tx, [settled("e1", ordinal, code=code, seconds=10 * ordinal)], say)
    assert executions.stretch(tx, "t1", 1, 1) == [b"e1 FAILED 3/2/1/0"]
    assert (only(tx).status, only(tx).ended_at, only(tx).running) == (Status.FAILED, after(30), 0)


def test_all_ends_at_once_seal_it_too(tx: Transaction) -> None:
    ledger.enter(tx, [settled("e1", ordinal) for ordinal in (1, 2, 3)], say)
    assert executions.stretch(tx, "t1", 1, 1) == [b"e1 SUCCESS 3/3/0/0"]


def test_a_sealed_execution_is_not_said_again(tx: Transaction) -> None:
    said: list[Execution] = []

    def listen(execution: Execution) -> bytes:
        said.append(execution)
        return say(execution)

    sealed = [ledger.enter(tx, [settled("e1", ordinal)], listen).sealed for ordinal in (1, 2, 3, 3, 1)]
    assert said == [only(tx)]
    assert sealed == [[], [], said, [], []]


def test_what_is_not_over_is_not_sealed(tx: Transaction) -> None:
    ledger.seal(tx, [only(tx)], say)
    assert executions.stretch(tx, "t1", 1, 1) == [only(tx)]


def test_an_execution_of_nothing_is_sealed_as_it_is(tx: Transaction) -> None:
    empty = an_execution("e2", task_id="t2", total=0, status=Status.SUCCESS, ended_at=NOW)
    executions.insert(tx, [empty])
    ledger.seal(tx, [empty], say)
    assert executions.stretch(tx, "t2", 1, 1) == [b"e2 SUCCESS 0/0/0/0"]


def test_how_late_it_was_is_published_for_whoever_has_committed_it(
    tx: Transaction, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", ledger.__name__)
    entry = ledger.enter(tx, [settled("e1", ordinal) for ordinal in (1, 2, 3)], say)
    assert caplog.messages == []
    ledger.publish(entry.sealed)
    execution = only(tx)
    recorded = (execution.created_at - execution.fire_at).total_seconds()
    begun = ((execution.began_at or NOW) - execution.fire_at).total_seconds()
    (message,) = caplog.messages
    assert f"recorded after {recorded:.3f} s, first begun after: {begun:.3f} s" in message
