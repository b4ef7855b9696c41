"""History from the command line, against a running service on which tasks fire."""

from __future__ import annotations

import json
from collections.abc import Callable

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
