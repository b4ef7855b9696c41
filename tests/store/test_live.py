"""Live actions in the database: how many there are where, and which have waited for too long."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from builders import NOW, a_subtask, after, an_execution
from fleetcron.domain.execution import Reference, Status
from fleetcron.store import executions, live, subtasks
from fleetcron.store.database import Database, Transaction

ONE, TWO = ("e1", 1), ("e1", 2)


@pytest.fixture
def tx(database: Database) -> Iterator[Transaction]:
    """A transaction in which e1 and e2 have two subtasks each, all live since NOW, one of them at another endpoint."""
    with database.transaction() as tx:
        executions.insert(tx, [an_execution("e1", total=2), an_execution("e2", task_id="t2", total=2)])
        subtasks.insert(tx, [a_subtask(1), a_subtask(2), a_subtask(3, "e2"), a_subtask(4, "e2", endpoint="other")])
        subtasks.dispatch(tx, subtasks.waiting(tx, 10, NOW), NOW)
        yield tx


def move(tx: Transaction, reference: Reference, **fields: object) -> None:
    subtask = subtasks.to_change(tx, [reference])[reference]
    subtasks.write(tx, [msgspec.structs.replace(subtask, **fields)])


def end(tx: Transaction, reference: Reference) -> None:
    move(tx, reference, status=Status.SUCCESS, ended_at=after(9))


def overdue(tx: Transaction, seconds: float, *, now: float = 100_000) -> list[tuple[str, int, bool]]:
    return sorted(live.overdue(tx, after(seconds), now=after(now)))


def test_they_are_counted_at_each_endpoint_and_of_each_execution(tx: Transaction) -> None:
    end(tx, ONE)
    assert live.per_endpoint(tx) == {"lab": 2, "other": 1}
    assert live.per_execution(tx) == {"e1": 1, "e2": 2}


def test_what_was_handed_out_long_enough_ago_is_told_and_what_the_clock_was_set_back_behind(tx: Transaction) -> None:
    everything = [ONE, TWO, ("e2", 3), ("e2", 4)]
    assert live.handed_out(tx, until=after(-0.001), now=after(2)) == []
    assert sorted(live.handed_out(tx, until=NOW, now=after(2))) == everything
    assert sorted(live.handed_out(tx, until=after(-20), now=after(-10))) == everything
    end(tx, TWO)
    assert TWO not in live.handed_out(tx, until=NOW, now=after(2))


def test_what_is_handed_out_again_is_that_of_it_which_is_live(tx: Transaction) -> None:
    end(tx, TWO)
    assert live.hand_out_again(tx, [("e2", 3), TWO, ONE, ("e9", 1)], after(5)) == [ONE, ("e2", 3)]
    assert live.handed_out(tx, until=after(4), now=after(6)) == [("e2", 4)]
    assert subtasks.to_change(tx, [ONE])[ONE].dispatched_at == NOW


def test_overdue_is_what_did_not_begin_or_did_not_end_in_its_time(tx: Transaction) -> None:
    for ordinal in (3, 4):
        end(tx, ("e2", ordinal))
    move(tx, ONE, status=Status.RUNNING, began_at=after(1), settle_until=after(900))
    assert overdue(tx, 300) == []
    assert overdue(tx, 300.001) == [("e1", 2, False)]
    assert overdue(tx, 900.001) == [("e1", 1, True), ("e1", 2, False)]
    end(tx, ONE)
    assert overdue(tx, 10_000) == [("e1", 2, False)]


def test_who_was_only_just_handed_something_gets_the_time_to_look(tx: Transaction) -> None:
    live.hand_out_again(tx, [TWO], after(5_000))
    assert TWO not in [row[:2] for row in overdue(tx, 4_999)]
    assert TWO in [row[:2] for row in overdue(tx, 5_000)]
    assert TWO in [row[:2] for row in overdue(tx, 4_000, now=4_500)]
