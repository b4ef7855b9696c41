"""What one firing of a task is, and how it ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import NOW, a_rule, a_server, a_target, a_task, after
from fleetcron.domain.execution import (
    RESULT_MESSAGE_LENGTH_MAX,
    Execution,
    ResultCode,
    Status,
    Subtask,
    outcome,
    plan,
    short,
)
from fleetcron.domain.fleet import Server
from fleetcron.domain.schedule import Cycle
from fleetcron.domain.task import Target, TargetKind, Task, TaskType

GROUP = TargetKind.SERVER_GROUP


def planned(
    members: Mapping[Target, Sequence[Server] | None], task: Task | None = None, *, missed: str | None = None
) -> tuple[Execution, list[Subtask]]:
    return plan(
        task or a_task(targets=tuple(members)),
        execution_id="e1",
        fire_at=NOW,
        start_until=after(300),
        now=after(2),
        members=members,
        missed=missed,
    )


def test_every_server_gets_one_share_numbered_in_the_order_of_the_targets() -> None:
    execution, shares = planned({a_target("s2"): [a_server(2)], a_target("g1", GROUP): [a_server(1), a_server(3)]})
    assert [(share.ordinal, share.server_id, share.handle) for share in shares] == [
        (1, "s2", "h2"),
        (2, "s1", "h1"),
        (3, "s3", "h3"),
    ]
    assert {share.status for share in shares} == {Status.WAITING}
    assert (execution.status, execution.total, execution.failed, execution.ended_at) == (Status.WAITING, 3, 0, None)


def test_an_execution_is_the_task_as_it_was_then() -> None:
    task = a_task(
        task_type=TaskType.REINSTALL_OS, enforcement=True, last_ordinal=41, rule=a_rule(Cycle.WEEKLY, zone="GMT+8")
    )
    execution, _ = planned({a_target(): [a_server()]}, task)
    assert (execution.ordinal, execution.task_type, execution.enforcement) == (42, TaskType.REINSTALL_OS, True)
    assert (execution.cycle, execution.zone) == (Cycle.WEEKLY, "GMT+8")
    assert (execution.fire_at, execution.start_until, execution.created_at) == (NOW, after(300), after(2))


def test_enforcement_that_was_not_said_is_off() -> None:
    assert planned({a_target(): [a_server()]})[0].enforcement is False


def test_a_server_named_twice_is_acted_on_once() -> None:
    members = {
        a_target("s1"): [a_server(1)],
        a_target("g1", GROUP): [a_server(1), a_server(2)],
        a_target("g2", GROUP): [a_server(2)],
    }
    execution, shares = planned(members)
    assert [share.server_id for share in shares] == ["s1", "s2"]
    assert execution.total == 2


def test_the_same_target_listed_twice_counts_once() -> None:
    task = a_task(targets=(a_target("s1"), a_target("s1"), a_target("s9"), a_target("s9")))
    _, shares = planned({a_target("s1"): [a_server(1)], a_target("s9"): None}, task)
    assert [(share.server_id, share.ordinal) for share in shares] == [("s1", 1), ("s9", 2)]


def test_a_missing_server_and_a_missing_group_of_one_name_both_say_so() -> None:
    _, shares = planned({a_target("x"): None, a_target("x", GROUP): None})
    assert [share.result_message for share in shares] == [
        "The server x does not exist.",
        "The server group x does not exist.",
    ]


def test_a_missing_group_that_is_named_like_a_server_does_not_hide_it() -> None:
    for members in (
        {a_target("s1", GROUP): None, a_target("s1"): [a_server(1)]},
        {a_target("s1"): [a_server(1)], a_target("s1", GROUP): None},
    ):
        execution, shares = planned(members)
        assert sorted(share.status for share in shares) == [Status.FAILED, Status.WAITING]
        assert [share.ordinal for share in shares] == [1, 2]
        assert (execution.status, execution.total, execution.failed) == (Status.WAITING, 2, 1)


def test_a_target_that_does_not_exist_fails_and_says_so_while_the_others_wait() -> None:
    execution, (missing, waiting) = planned({a_target("s9"): None, a_target("s1"): [a_server(1)]})
    assert (missing.status, missing.result_code, missing.ended_at) == (Status.FAILED, ResultCode.NOT_FOUND, after(2))
    assert waiting.status is Status.WAITING
    assert (execution.status, execution.failed, execution.ended_at) == (Status.WAITING, 1, None)


def test_an_execution_without_any_existing_target_has_failed_at_once() -> None:
    execution, _ = planned({a_target("s9"): None, a_target("g9", GROUP): None})
    assert (execution.status, execution.total, execution.failed, execution.ended_at) == (
        Status.FAILED,
        2,
        2,
        after(2),
    )


def test_an_empty_group_is_a_success_of_nothing() -> None:
    execution, shares = planned({a_target("g1", GROUP): []})
    assert shares == []
    assert (execution.status, execution.total, execution.ended_at) == (Status.SUCCESS, 0, after(2))


def test_an_empty_group_beside_a_missing_server_has_failed() -> None:
    execution, _ = planned({a_target("g1", GROUP): [], a_target("s9"): None})
    assert (execution.status, execution.total, execution.failed) == (Status.FAILED, 1, 1)


def test_a_missed_fire_fails_every_share_with_its_reason() -> None:
    execution, shares = planned({a_target("s1"): [a_server(1)], a_target("s9"): None}, missed="Missed: asleep.")
    assert [share.result_code for share in shares] == [ResultCode.MISSED, ResultCode.NOT_FOUND]
    assert shares[0].result_message == "Missed: asleep."
    assert (execution.status, execution.failed, execution.ended_at) == (Status.FAILED, 2, after(2))


@given(
    st.dictionaries(
        st.builds(Target, kind=st.sampled_from(TargetKind), target_id=st.sampled_from(["s1", "s2", "g1", "x"])),
        st.none() | st.lists(st.integers(1, 6).map(a_server), max_size=6),
        max_size=6,
    ),
    st.none() | st.just("Missed."),
)
def test_the_counters_add_up_to_the_shares(members: dict[Target, list[Server] | None], missed: str | None) -> None:
    execution, shares = planned(members, missed=missed)
    assert execution.total == len(shares)
    assert [share.ordinal for share in shares] == list(range(1, len(shares) + 1))
    assert execution.failed == sum(share.status is Status.FAILED for share in shares)
    waiting = execution.total - execution.succeeded - execution.failed - execution.running
    assert waiting == sum(share.status is Status.WAITING for share in shares)
    assert (execution.ended_at is not None) == (waiting == 0)
    machines = [share.server_id for share in shares if share.handle is not None]
    assert len(machines) == len(set(machines))
    assert set(machines) == {server.server_id for found in members.values() for server in found or ()}
    for share in shares:
        assert (share.ended_at is not None) == (share.status is Status.FAILED) == (share.result_code is not None)


@pytest.mark.parametrize(("failed", "status"), [(0, Status.SUCCESS), (1, Status.FAILED), (99, Status.FAILED)])
def test_one_failure_fails_the_whole(failed: int, status: Status) -> None:
    assert outcome(failed) is status


@given(st.text(max_size=2 * RESULT_MESSAGE_LENGTH_MAX))
def test_a_message_is_cut_to_what_the_wire_can_carry(message: str) -> None:
    cut = short(message)
    assert len(cut) <= RESULT_MESSAGE_LENGTH_MAX
    if len(message) <= RESULT_MESSAGE_LENGTH_MAX:
        assert cut == message
    else:
        assert cut.endswith("…")
        assert message.startswith(cut[:-1])


def test_a_message_that_cannot_be_written_as_utf8_is_made_so_that_it_can() -> None:
    assert short("no such file: \udcff") == "no such file: ?"
