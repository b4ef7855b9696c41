"""Subtasks in the database: every step is taken once, and none after the end."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import timedelta

import pytest

from builders import NOW, a_subtask, after, an_execution
from fleetcron.domain.execution import Evidence, ResultCode, Status, Subtask
from fleetcron.domain.task import TaskType
from fleetcron.store import executions, subtasks
from fleetcron.store.database import Database, Transaction

ONE = ("e1", 1)


@pytest.fixture
def tx(database: Database) -> Iterator[Transaction]:
    """A transaction in which e1 has the subtasks 1 to 3."""
    with database.transaction() as tx:
        executions.insert(tx, [an_execution("e1", total=3)])
        subtasks.insert(tx, [a_subtask(1), a_subtask(2), a_subtask(3)])
        yield tx


def insert_rival(tx: Transaction) -> None:
    """Another execution, of another task, whose subtask 1 names the server of e1's subtask 1."""
    executions.insert(tx, [an_execution("e2", task_id="t2", task_type=TaskType.STOP_SERVER)])
    subtasks.insert(tx, [a_subtask(1, "e2")])


def one(tx: Transaction) -> Subtask:
    return subtasks.page(tx, "e1", offset=0, limit=1)[0]


def begin(tx: Transaction, *, sends: int = 1, boot_marker: str | None = "b1") -> bool:
    return subtasks.begin(tx, ONE, began_at=after(1), settle_until=after(900), boot_marker=boot_marker, sends=sends)


def settle(tx: Transaction, code: ResultCode | None = None, seconds: float = 9) -> bool | None:
    return subtasks.settle(
        tx,
        ONE,
        ended_at=after(seconds),
        evidence=None if code else Evidence.POWER_SEEN,
        result_code=code,
        result_message=None if code is None else "why",
    )


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_the_union_of_the_pages_is_the_set_in_its_order(tx: Transaction, limit: int) -> None:
    insert_rival(tx)
    pages = [subtasks.page(tx, "e1", offset=offset, limit=limit) for offset in range(0, 3 + limit, limit)]
    assert [subtask.ordinal for page in pages for subtask in page] == [1, 2, 3]


def test_waiting_are_those_nobody_was_told_of_oldest_execution_first(tx: Transaction) -> None:
    insert_rival(tx)
    subtasks.dispatch(tx, [("e1", 2)], NOW)
    subtasks.settle(tx, ("e1", 3), ended_at=NOW, evidence=None, result_code=ResultCode.CONFLICT, result_message="why")
    assert [(due.execution_id, due.ordinal) for due in subtasks.waiting(tx, 10)] == [ONE, ("e2", 1)]
    assert [(due.execution_id, due.ordinal) for due in subtasks.waiting(tx, 1)] == [ONE]


def test_a_waiting_subtask_knows_what_its_execution_says_and_whether_its_server_is_taken(tx: Transaction) -> None:
    insert_rival(tx)
    subtasks.dispatch(tx, [ONE], NOW)
    rival = subtasks.waiting(tx, 10)[-1]
    assert (rival.execution_id, rival.task_type, rival.contended) == ("e2", TaskType.STOP_SERVER, True)
    assert rival.start_until == after(300)
    settle(tx)
    assert not subtasks.waiting(tx, 10)[-1].contended


def test_one_live_action_per_server(database: Database) -> None:
    with database.transaction() as tx:
        executions.insert(tx, [an_execution("e1"), an_execution("e2", task_id="t2")])
        subtasks.insert(tx, [a_subtask(1, "e1"), a_subtask(1, "e2")])
        subtasks.dispatch(tx, [("e1", 1)], NOW)
    with pytest.raises(sqlite3.IntegrityError), database.transaction() as tx:
        subtasks.dispatch(tx, [("e2", 1)], NOW)
    with database.transaction() as tx:
        assert subtasks.live(tx) == [("e1", 1)]
        settle(tx)
        subtasks.dispatch(tx, [("e2", 1)], NOW)
        assert subtasks.live(tx) == [("e2", 1)]


def test_the_same_handle_at_another_endpoint_is_another_server(tx: Transaction) -> None:
    executions.insert(tx, [an_execution("e2", task_id="t2")])
    subtasks.insert(tx, [a_subtask(1, "e2", endpoint="other")])
    subtasks.dispatch(tx, [ONE, ("e2", 1)], NOW)
    assert sorted(subtasks.live(tx)) == [ONE, ("e2", 1)]


def test_what_is_done_to_a_server_is_known_while_it_is_live(tx: Transaction) -> None:
    assert subtasks.live_on(tx, "lab", "h1") is None
    subtasks.dispatch(tx, [ONE], NOW)
    assert subtasks.live_on(tx, "lab", "h1") is TaskType.RESTART_SERVER
    assert subtasks.live_on(tx, "other", "h1") is None
    settle(tx)
    assert subtasks.live_on(tx, "lab", "h1") is None


def test_a_subtask_is_dispatched_once(tx: Transaction) -> None:
    subtasks.dispatch(tx, [ONE], NOW)
    subtasks.dispatch(tx, [ONE], after(60))
    assert one(tx).dispatched_at == NOW


def test_a_subtask_that_has_ended_is_not_dispatched(tx: Transaction) -> None:
    settle(tx, ResultCode.CONFLICT)
    subtasks.dispatch(tx, [ONE], NOW)
    assert one(tx).dispatched_at is None


def test_a_subtask_begins_once(tx: Transaction) -> None:
    assert begin(tx)
    assert not begin(tx, boot_marker="b2")
    begun = one(tx)
    assert (begun.status, begun.began_at, begun.boot_marker, begun.sends) == (Status.RUNNING, after(1), "b1", 1)


def test_a_subtask_that_has_ended_does_not_begin(tx: Transaction) -> None:
    settle(tx, ResultCode.MISSED)
    ended = one(tx)
    assert not begin(tx)
    assert one(tx) == ended


def test_going_on_counts_the_sends_up_and_forgets_the_ticket(tx: Transaction) -> None:
    begin(tx)
    subtasks.keep_ticket(tx, ONE, "ticket")
    assert subtasks.begin_again(tx, ONE, boot_marker="b2", sends=2)
    again = one(tx)
    assert (again.boot_marker, again.sends, again.ticket, again.began_at) == ("b2", 2, None, after(1))


def test_a_send_is_counted_once(tx: Transaction) -> None:
    begin(tx)
    assert subtasks.begin_again(tx, ONE, boot_marker="b2", sends=2)
    assert not subtasks.begin_again(tx, ONE, boot_marker="b3", sends=2)
    assert not subtasks.begin_again(tx, ONE, boot_marker="b3", sends=1)
    assert one(tx).boot_marker == "b2"


def test_what_has_not_begun_cannot_go_on(tx: Transaction) -> None:
    assert not subtasks.begin_again(tx, ONE, boot_marker="b2", sends=2)


def test_nothing_moves_after_the_end(tx: Transaction) -> None:
    begin(tx)
    settle(tx, ResultCode.TIMEOUT)
    ended = one(tx)
    assert not subtasks.begin_again(tx, ONE, boot_marker="b2", sends=2)
    assert not subtasks.keep_ticket(tx, ONE, "late ticket")
    assert settle(tx, seconds=20) is None
    assert settle(tx, ResultCode.FAILED, seconds=20) is None
    subtasks.dispatch(tx, [ONE], after(30))
    assert one(tx) == ended


def test_settling_tells_whether_it_was_running(tx: Transaction) -> None:
    assert (
        subtasks.settle(tx, ("e1", 2), ended_at=NOW, evidence=None, result_code=ResultCode.MISSED, result_message="why")
        is False
    )
    begin(tx)
    assert settle(tx) is True
    ended = one(tx)
    assert (ended.status, ended.evidence, ended.ended_at) == (Status.SUCCESS, Evidence.POWER_SEEN, after(9))


def test_an_unknown_subtask_does_not_settle(tx: Transaction) -> None:
    assert subtasks.settle(tx, ("e9", 1), ended_at=NOW, evidence=None, result_code=None, result_message=None) is None


def test_overdue_is_what_did_not_begin_or_did_not_end_in_its_time(tx: Transaction) -> None:
    subtasks.dispatch(tx, [ONE, ("e1", 2)], NOW)
    begin(tx)

    def overdue(seconds: float) -> list[tuple[str, int, bool]]:
        return subtasks.overdue(tx, unbegun_before=after(seconds), unsettled_before=after(seconds))

    assert overdue(300) == []
    assert overdue(300.001) == [("e1", 2, False)]
    assert sorted(overdue(900.001)) == [("e1", 1, True), ("e1", 2, False)]
    settle(tx)
    assert overdue(10_000) == [("e1", 2, False)]


def test_what_was_left_is_read_back(tx: Transaction) -> None:
    subtasks.dispatch(tx, [ONE], NOW)
    begin(tx)
    subtasks.keep_ticket(tx, ONE, "ticket")
    (due,) = subtasks.read_due(tx, [ONE, ("e9", 1)])
    assert (due.began_at, due.settle_until, due.boot_marker, due.ticket, due.sends) == (
        after(1),
        after(900),
        "b1",
        "ticket",
        1,
    )
    assert due.enforcement is False


def test_the_tally_counts_the_ends_and_names_the_last(tx: Transaction) -> None:
    settle(tx)
    subtasks.settle(
        tx, ("e1", 2), ended_at=after(70), evidence=None, result_code=ResultCode.FAILED, result_message="why"
    )
    assert subtasks.tally(tx, "e1") == (1, 1, NOW + timedelta(seconds=70))
