"""Subtasks in the database: every step is taken once, and none after the end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
import pytest

from builders import NOW, a_subtask, after, an_execution
from fleetcron.domain.execution import Evidence, Reference, ResultCode, Status, Subtask
from fleetcron.domain.task import TaskType
from fleetcron.errors import Constrained
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


def waiting(tx: Transaction, count_max: int = 10, now: datetime = NOW, **rooms: Any) -> list[Reference]:  # noqa: ANN401
    return [due.reference for due in subtasks.waiting(tx, count_max, now, **rooms)]


def dispatch(tx: Transaction, *references: Reference) -> list[Reference]:
    due = [due for due in subtasks.waiting(tx, 10, NOW) if due.reference in references]
    return sorted(subtasks.dispatch(tx, due, NOW))


def move(tx: Transaction, reference: Reference = ONE, **fields: object) -> None:
    subtask = subtasks.to_change(tx, [reference])[reference]
    subtasks.write(tx, [msgspec.structs.replace(subtask, **fields)])


def end(tx: Transaction, reference: Reference = ONE, status: Status = Status.SUCCESS, seconds: float = 9) -> None:
    move(tx, reference, status=status, ended_at=after(seconds))


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_the_union_of_the_pages_is_the_set_in_its_order(tx: Transaction, limit: int) -> None:
    insert_rival(tx)
    pages = [subtasks.page(tx, "e1", offset=offset, limit=limit) for offset in range(0, 3 + limit, limit)]
    assert [subtask.ordinal for page in pages for subtask in page] == [1, 2, 3]


def test_waiting_are_those_nobody_was_told_of_oldest_execution_first(tx: Transaction) -> None:
    insert_rival(tx)
    dispatch(tx, ("e1", 2))
    end(tx, ("e1", 3), Status.FAILED)
    assert waiting(tx) == [ONE, ("e2", 1)]
    assert waiting(tx, 1) == [ONE]
    assert subtasks.any_waiting(tx)
    end(tx)
    end(tx, ("e2", 1))
    assert not subtasks.any_waiting(tx)


def test_a_waiting_subtask_knows_what_its_execution_says_and_whether_its_server_is_taken(tx: Transaction) -> None:
    insert_rival(tx)
    dispatch(tx, ONE)
    rival = subtasks.waiting(tx, 10, NOW)[-1]
    assert (rival.execution_id, rival.task_type, rival.contended) == ("e2", TaskType.STOP_SERVER, True)
    assert (rival.start_until, rival.enforcement, rival.cancelled_at) == (after(300), False, None)
    assert executions.cancel(tx, "p1", "e2", after(5))
    end(tx)
    rival = subtasks.waiting(tx, 10, NOW)[-1]
    assert (rival.contended, rival.cancelled_at) == (False, after(5))


def test_what_has_no_room_waits_unless_it_must_not_start_any_more(tx: Transaction) -> None:
    insert_rival(tx)
    subtasks.insert(tx, [a_subtask(4, "e1", endpoint="other")])
    everything = [ONE, ("e1", 2), ("e1", 3), ("e1", 4), ("e2", 1)]
    assert waiting(tx, full_endpoints=["none"], full_executions=["none"]) == everything
    assert waiting(tx, full_endpoints=["lab"]) == [("e1", 4)]
    assert waiting(tx, full_executions=["e1"]) == [("e2", 1)]
    assert waiting(tx, any_room=False) == []
    assert waiting(tx, now=after(300), any_room=False) == []
    assert waiting(tx, now=after(300.001), any_room=False) == everything
    dispatch(tx, ONE)
    assert waiting(tx, any_room=False) == [("e2", 1)]


def test_what_somebody_else_is_just_moving_does_not_wait_for_us(postgresql_database: Database) -> None:
    database = postgresql_database
    with database.transaction() as tx:
        executions.insert(tx, [an_execution("e1", total=2)])
        subtasks.insert(tx, [a_subtask(1), a_subtask(2)])
    with database.transaction() as tx, database.transaction() as other:
        subtasks.to_change(other, [ONE])
        assert waiting(tx) == [("e1", 2)]


def test_one_live_action_per_server(database: Database) -> None:
    with database.transaction() as tx:
        executions.insert(tx, [an_execution("e1"), an_execution("e2", task_id="t2")])
        subtasks.insert(tx, [a_subtask(1, "e1"), a_subtask(1, "e2")])
        assert dispatch(tx, ONE, ("e2", 1)) == [ONE]
    with pytest.raises(Constrained), database.transaction() as tx:
        tx.execute("INSERT INTO live_actions VALUES ('lab', 'h1', 'e2', 1, '')")
    with pytest.raises(Constrained), database.transaction() as tx:
        tx.execute("INSERT INTO live_actions VALUES ('lab', 'h2', 'e1', 1, '')")
    with database.transaction() as tx:
        assert dispatch(tx, ("e2", 1)) == []
        assert subtasks.page(tx, "e2", offset=0, limit=1)[0].dispatched_at is None
        end(tx)
        assert dispatch(tx, ("e2", 1)) == [("e2", 1)]


def test_the_same_handle_at_another_endpoint_is_another_server(tx: Transaction) -> None:
    executions.insert(tx, [an_execution("e2", task_id="t2")])
    subtasks.insert(tx, [a_subtask(1, "e2", endpoint="other")])
    assert dispatch(tx, ONE, ("e2", 1)) == [ONE, ("e2", 1)]


def test_what_is_done_to_a_server_is_known_while_it_is_live(tx: Transaction) -> None:
    assert subtasks.live_on(tx, "lab", "h1") is None
    dispatch(tx, ONE)
    assert subtasks.live_on(tx, "lab", "h1") is TaskType.RESTART_SERVER
    assert subtasks.live_on(tx, "other", "h1") is None
    end(tx)
    assert subtasks.live_on(tx, "lab", "h1") is None


def test_what_was_dispatched_or_has_ended_waits_no_more(tx: Transaction) -> None:
    assert dispatch(tx, ONE) == [ONE]
    assert one(tx).dispatched_at == NOW
    end(tx, ("e1", 2), Status.FAILED)
    assert waiting(tx) == [("e1", 3)]


def test_what_is_taken_to_be_changed_is_as_it_is_and_what_does_not_exist_is_not_there(tx: Transaction) -> None:
    found = subtasks.to_change(tx, [("e1", 3), ONE, ONE, ("e1", 99), ("e9", 1)])
    assert found == {ONE: a_subtask(1), ("e1", 3): a_subtask(3)}
    assert subtasks.to_change(tx, []) == {}


def test_what_is_taken_to_be_changed_is_ours_alone(postgresql_database: Database) -> None:
    database = postgresql_database
    with database.transaction() as tx:
        executions.insert(tx, [an_execution("e1", total=2)])
        subtasks.insert(tx, [a_subtask(1)])
    seen: list[str | None] = []

    def look() -> None:
        with database.transaction() as tx:
            seen.append(subtasks.to_change(tx, [ONE])[ONE].attempt)

    with database.transaction() as tx:
        subtasks.to_change(tx, [ONE])
        other = threading.Thread(target=look)
        other.start()
        move(tx, attempt="a1")
    other.join(10)
    assert seen == ["a1"]


def test_what_is_written_is_read_back(tx: Transaction) -> None:
    steps: dict[str, Any] = {
        "status": Status.SUCCESS,
        "began_at": after(1),
        "settle_until": after(900),
        "boot_marker": "b1",
        "ticket": "what 'the' driver \"said\": ☃ \\u0000",
        "sends": 2,
        "attempt": "a1",
        "ended_at": after(9),
        "evidence": Evidence.POWER_SEEN,
        "result_code": ResultCode.FAILED,
        "result_message": "why",
    }
    move(tx, **steps)
    assert one(tx) == msgspec.structs.replace(a_subtask(1), **steps)
    assert subtasks.page(tx, "e1", offset=1, limit=9) == [a_subtask(2), a_subtask(3)]


def test_writing_nothing_changes_nothing(tx: Transaction) -> None:
    subtasks.write(tx, [])
    assert subtasks.page(tx, "e1", offset=0, limit=9) == [a_subtask(1), a_subtask(2), a_subtask(3)]


def test_what_was_left_is_read_back_with_what_the_execution_says(tx: Transaction) -> None:
    move(tx, began_at=after(1), settle_until=after(900), boot_marker="b1", ticket="ticket", sends=1)
    end(tx, ("e1", 3))
    two, one_ = reversed(subtasks.read_due(tx, [("e1", 2), ONE, ("e1", 3), ("e9", 1)]))
    assert (one_.reference, two.reference) == (ONE, ("e1", 2))
    assert (one_.began_at, one_.settle_until, one_.sends) == (after(1), after(900), 1)
    assert (one_.boot_marker, one_.ticket, one_.start_until) == ("b1", "ticket", after(300))


def test_the_tally_counts_the_ends_and_names_the_last(tx: Transaction) -> None:
    insert_rival(tx)
    end(tx)
    end(tx, ("e1", 2), Status.FAILED, seconds=70)
    end(tx, ("e2", 1), seconds=20)
    assert subtasks.tally(tx, ["e1", "e2", "e9"]) == {"e1": (1, 1, after(70)), "e2": (1, 0, after(20))}


def test_cancelled_is_what_has_not_begun_of_a_cancelled_execution(tx: Transaction) -> None:
    insert_rival(tx)
    assert subtasks.cancelled(tx, 10) == []
    executions.cancel(tx, "p1", "e1", NOW)
    move(tx, ("e1", 2), status=Status.RUNNING, began_at=after(1))
    assert sorted(subtasks.cancelled(tx, 10)) == [ONE, ("e1", 3)]
    assert len(subtasks.cancelled(tx, 1)) == 1
    end(tx)
    assert subtasks.cancelled(tx, 10) == [("e1", 3)]
