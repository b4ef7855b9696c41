"""The checks of the chaos test find what is wrong, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from chaos import checker
from chaos.faults import Befallen, Fault, Kind
from chaos.fleet import Touch
from chaos.load import Asked
from chaos.tables import Kept, KeptExecution, KeptSubtask, KeptTask
from fleetcron.domain.execution import Status
from fleetcron.domain.task import TaskType


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def a_kept_subtask(key: str = "e1/1", **fields: object) -> KeptSubtask:
    """Restarts s1 from 10 to 20, with success."""
    usual = KeptSubtask(
        key=key,
        server_id="s1",
        handle="s1",
        task_type=TaskType.RESTART_SERVER,
        status=Status.SUCCESS,
        result_code=None,
        dispatched_at=at(10),
        began_at=at(11),
        ended_at=at(20),
    )
    return msgspec.structs.replace(usual, **fields)


def a_kept_execution(execution_id: str = "e1", **fields: object) -> KeptExecution:
    """One subtask, which has succeeded."""
    usual = KeptExecution(
        execution_id=execution_id,
        task_id="t1",
        status=Status.SUCCESS,
        total=1,
        succeeded=1,
        failed=0,
        running=0,
        ended_at=at(20),
    )
    return msgspec.structs.replace(usual, **fields)


def a_kept_task(task_id: str = "t1", **fields: object) -> KeptTask:
    usual = KeptTask(task_id=task_id, name=f"name-of-{task_id}", at_once=False, next_fire_at=None)
    return msgspec.structs.replace(usual, **fields)


def kept(**fields: Any) -> Kept:  # noqa: ANN401  (the fields of Kept)
    """One task that has fired once."""
    usual: dict[str, Any] = {
        "tasks": [a_kept_task()],
        "executions": [a_kept_execution()],
        "subtasks": [a_kept_subtask()],
        "live_actions": 0,
    }
    return Kept(**(usual | fields))


def order(worker: int = 1, at: float = 12, request_id: str = "e1/1/1/RESTART_SERVER", **fields: object) -> Touch:
    touch = Touch(
        at=at,
        worker=worker,
        verb="submit",
        handle="s1",
        subtask="/".join(request_id.split("/")[:2]),
        request_id=request_id,
        task_type=TaskType.RESTART_SERVER,
    )
    return msgspec.structs.replace(touch, **fields)


def look(worker: int = 1, at: float = 11, **fields: object) -> Touch:
    return msgspec.structs.replace(Touch(at=at, worker=worker, verb="observe", handle="s1"), **fields)


def test_what_is_right_is_let_pass() -> None:
    right, journal = kept(), [look(), order()]
    assert list(checker.lost(Asked(tasks=["t1"]), right)) == []
    for check in (checker.unfinished, checker.miscounted, checker.overlapping):
        assert list(check(right)) == []
    for check_journal in (checker.blind_resends, checker.doubled):
        assert list(check_journal(journal)) == []
    assert list(checker.untimely(journal, right)) == []
    assert list(checker.false_successes(journal, right)) == []


@pytest.mark.parametrize(
    ("asked", "wrong"),
    [
        (Asked(tasks=["t1", "t2"]), kept()),
        (Asked(tasks=["t1"]), kept(executions=[])),
        (Asked(tasks=["t1"]), kept(executions=[a_kept_execution("e1"), a_kept_execution("e2")])),
        (Asked(), kept()),
        (Asked(unsure_tasks=["name-of-t2"]), kept()),
        (Asked(at_once=[frozenset({"s1"})]), kept(tasks=[], executions=[], subtasks=[])),
        (Asked(), kept(tasks=[a_kept_task(at_once=True)])),
        (Asked(at_once=[frozenset({"s1", "s2"})]), kept(tasks=[a_kept_task(at_once=True)])),
    ],
)
def test_a_lost_request_and_one_that_nobody_made_are_found(asked: Asked, wrong: Kept) -> None:
    assert list(checker.lost(asked, wrong)) != []


@pytest.mark.parametrize(
    ("asked", "right"),
    [
        (Asked(unsure_tasks=["name-of-t1"]), kept()),
        (Asked(unsure_tasks=["name-of-t1"]), kept(tasks=[], executions=[], subtasks=[])),
        (Asked(at_once=[frozenset({"s1"})]), kept(tasks=[a_kept_task(at_once=True)])),
        (Asked(unsure_at_once=[frozenset({"s1"})]), kept(tasks=[a_kept_task(at_once=True)])),
        (Asked(unsure_at_once=[frozenset({"s1"})]), kept(tasks=[], executions=[], subtasks=[])),
    ],
)
def test_what_was_not_answered_may_have_been_done_or_not(asked: Asked, right: Kept) -> None:
    assert list(checker.lost(asked, right)) == []


@pytest.mark.parametrize(
    "wrong",
    [
        kept(executions=[a_kept_execution(ended_at=None)]),
        kept(executions=[a_kept_execution(status=Status.RUNNING)]),
        kept(subtasks=[a_kept_subtask(ended_at=None)]),
        kept(subtasks=[a_kept_subtask(status=Status.WAITING)]),
        kept(live_actions=1),
    ],
)
def test_what_has_not_ended_is_found(wrong: Kept) -> None:
    assert len(list(checker.unfinished(wrong))) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        kept(executions=[a_kept_execution(total=2)]),
        kept(executions=[a_kept_execution(succeeded=0)]),
        kept(executions=[a_kept_execution(running=1)]),
        kept(executions=[a_kept_execution(status=Status.FAILED)]),
        kept(subtasks=[a_kept_subtask(status=Status.FAILED)]),
        kept(subtasks=[]),
    ],
)
def test_a_wrong_counter_is_found(wrong: Kept) -> None:
    assert len(list(checker.miscounted(wrong))) == 1


def test_an_order_that_was_given_again_without_a_look_is_found() -> None:
    again = order(2, 13, "e1/1/2/RESTART_SERVER")
    assert len(list(checker.blind_resends([look(), order(), again]))) == 1
    assert len(list(checker.blind_resends([order(), look(handle="s2"), again]))) == 1
    assert len(list(checker.blind_resends([order(), look(answer="Retryable"), again]))) == 1
    assert list(checker.blind_resends([order(), look(2), again])) == []
    assert list(checker.blind_resends([order(answer="Busy"), again])) == []
    assert list(checker.blind_resends([order(), order(2, 13, "e2/1/1/RESTART_SERVER")])) == []


def test_a_server_that_was_restarted_twice_is_found() -> None:
    again = order(2, 13, "e1/1/2/RESTART_SERVER")
    assert len(list(checker.doubled([order(), look(2), again]))) == 1
    assert list(checker.doubled([order(fails=True), look(2), again])) == []
    assert list(checker.doubled([order(answer="Retryable"), again])) == []


def test_two_live_subtasks_on_one_server_are_found() -> None:
    first = a_kept_subtask()
    meanwhile = a_kept_subtask("e2/1", dispatched_at=at(19), ended_at=at(30))
    afterwards = a_kept_subtask("e3/1", dispatched_at=at(20), ended_at=at(30))
    elsewhere = a_kept_subtask("e4/1", dispatched_at=at(15), ended_at=at(30), handle="s2")
    assert list(checker.overlapping(kept(subtasks=[meanwhile, first]))) == ["s1: e1/1 and e2/1"]
    assert list(checker.overlapping(kept(subtasks=[afterwards, elsewhere, first]))) == []


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        (order(at=10.5), kept()),
        (order(at=20.5), kept()),
        (order(), kept(subtasks=[])),
        (order(), kept(subtasks=[a_kept_subtask(began_at=None)])),
    ],
)
def test_an_order_at_the_wrong_time_is_found(given: Touch, wrong: Kept) -> None:
    assert len(list(checker.untimely([given], wrong))) == 1


def test_a_success_that_was_not_done_is_found() -> None:
    assert len(list(checker.false_successes([], kept()))) == 1
    assert len(list(checker.false_successes([order(fails=True)], kept()))) == 1
    broken = kept(subtasks=[a_kept_subtask(status=Status.FAILED, result_code="FC.INTERNAL")])
    assert len(list(checker.false_successes([], broken))) == 1


STRUCK = Befallen(fault=Fault(kind=Kind.KILL_WORKER, victim=0, seconds=1, quiet_seconds=1), at=13.0, until=15.0, pid=1)


def left(journal: list[Touch], *subtasks: KeptSubtask) -> list[float]:
    (of_one,) = checker.taken_up([STRUCK], journal, kept(subtasks=list(subtasks)))
    return [one.seconds for one in of_one]


def test_what_a_struck_worker_held_is_timed_until_another_one_comes() -> None:
    assert left([look(), order(), look(2, 18)], a_kept_subtask()) == [5.0]
    assert left([look(), order(), look(1, 13.2), look(2, 18)], a_kept_subtask()) == [5.0]
    assert left([look(), order()], a_kept_subtask()) == [7.0]


def test_what_another_worker_held_or_nobody_yet_or_what_was_over_is_not_timed() -> None:
    assert left([look(2), look(2, 14)], a_kept_subtask()) == []
    assert left([look(2, 18)], a_kept_subtask()) == []
    assert left([look(), look(2, 18)], a_kept_subtask(ended_at=at(12.5))) == []
    assert left([look(), look(2, 18)], a_kept_subtask(dispatched_at=at(14))) == []
