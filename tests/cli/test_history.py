"""History from the command line, against a running service on which tasks fire."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from builders import eventually

Run = Callable[..., tuple[int, str, str]]
Fire = Callable[..., str]


def test_an_execution_is_followed_to_its_end(run: Run, fire: Fire) -> None:
    task_id = fire("quick-1", "quick-2")
    code, out, err = run("history", "follow", task_id, "--wait")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].endswith(" SUCCESS: 2 of 2 ended, 2 succeeded, 0 failed, 0 running")


def test_a_failed_execution_ends_with_1_and_its_subtasks_say_why(run: Run, fire: Fire) -> None:
    task_id = fire("broken-1")
    code, out, err = run("history", "follow", task_id, "--wait", "--json")
    row = json.loads(out)
    assert (code, row["status"], row["failed_count"]) == (1, "FAILED", 1)
    assert " FAILED: 1 of 1 ended, 0 succeeded, 1 failed, 0 running" in err
    code, out, err = run("history", "show", row["id"])
    assert (code, err) == (0, "")
    assert out.splitlines()[1].split()[:4] == ["broken-1", "FAILED", "broken-1", "FC.REFUSED"]


def test_the_newest_execution_is_followed_even_if_it_has_ended(run: Run, fire: Fire) -> None:
    task_id = fire("quick-3")
    run("history", "follow", task_id, "--wait")
    code, out, _ = run("history", "list", task_id, "--json")
    (row,) = json.loads(out)["items"]
    assert (code, json.loads(out)["count"]) == (0, 1)
    assert run("history", "follow", task_id, "--json")[1] == json.dumps(row, separators=(",", ":")) + "\n"
    assert run("history", "list", task_id, "--follow")[:2] == (
        0,
        f"{row['id']} SUCCESS: 1 of 1 ended, 1 succeeded, 0 failed, 0 running\n",
    )


def test_executions_and_subtasks_are_tables(run: Run, fire: Fire) -> None:
    task_id = fire("quick-1")
    run("history", "follow", task_id, "--wait")
    heading, row = run("history", "list", task_id)[1].splitlines()
    assert heading.split()[:6] == ["ID", "Status", "Total", "OK", "Failed", "Running"]
    assert row.split()[1:6] == ["SUCCESS", "1", "1", "0", "0"]
    heading, subtask = run("history", "show", row.split()[0])[1].splitlines()
    assert heading.split()[:2] == ["Server", "Status"]
    assert subtask.split()[:2] == ["quick-1", "SUCCESS"]


def test_a_task_without_executions_has_none_to_follow(run: Run, fire: Fire) -> None:
    code, out, err = run("history", "follow", fire("quick-1", in_seconds=86_400))
    assert (code, out) == (5, "")
    assert "no execution yet" in err


def test_waiting_has_an_end(run: Run, fire: Fire) -> None:
    code, _, err = run("history", "follow", fire("quick-1", in_seconds=86_400), "--wait", "--timeout", "1")
    assert (code, err) == (1, "Error: no execution began within 1 s\n")


def test_the_history_of_an_unknown_task_is_not_found(run: Run) -> None:
    code, out, err = run("history", "list", "nobody")
    assert (code, out) == (5, "")
    assert "WKS.00211902" in err


def test_an_execution_is_cancelled_by_its_task_alone_and_what_has_begun_runs_to_its_end(run: Run, fire: Fire) -> None:
    task_id = fire("slow-1", "slow-2")
    eventually(lambda: [one for one in subtasks_of(run, task_id) if one["begin_time"]])
    code, out, err = run("history", "cancel", task_id)
    assert (code, err) == (0, "")
    assert out == f"Cancelled execution {execution_of(run, task_id)}; what has begun runs to its end.\n"
    assert run("history", "follow", task_id)[0] == 1
    assert [one["result_code"] for one in subtasks_of(run, task_id)] == [None, "FC.CANCELLED"]


def test_an_execution_is_cancelled_by_its_id(run: Run, fire: Fire) -> None:
    task_id = fire("slow-1")
    key = eventually(lambda: execution_of(run, task_id))
    assert run("history", "cancel", task_id, key, "--json") == (0, "null\n", "")
    run("history", "follow", task_id)


def test_what_has_ended_is_not_cancelled(run: Run, fire: Fire) -> None:
    task_id = fire("quick-2")
    run("history", "follow", task_id, "--wait")
    assert run("history", "cancel", task_id) == (5, "", f"Error: task {task_id} has no execution under way\n")
    code, out, err = run("history", "cancel", task_id, execution_of(run, task_id))
    assert (code, out) == (6, "")
    assert "has already ended; it is SUCCESS." in err


def execution_of(run: Run, task_id: str) -> str:
    """The id of the task's newest execution, empty before there is one."""
    items = json.loads(run("history", "list", task_id, "--json")[1])["items"]
    return str(items[0]["id"]) if items else ""


def subtasks_of(run: Run, task_id: str) -> list[dict[str, Any]]:
    """The subtasks of the task's newest execution, as they stand."""
    key = execution_of(run, task_id)
    items: list[dict[str, Any]] = json.loads(run("history", "show", key, "--json")[1])["items"] if key else []
    return items
