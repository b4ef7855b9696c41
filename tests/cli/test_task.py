"""Tasks from the command line, against a running service."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from fleetcron.cli.task import Deed, What
from fleetcron.domain.task import TaskType
from fleetcron.wire.tasks import BATCH_DELETE_MAX

Run = Callable[..., tuple[int, str, str]]

NIGHTLY = ("--type", "restart", "--group", "lab", "--daily", "--at", "3:30", "--zone", "Europe/Berlin")


def create(run: Run, name: str, *options: str) -> str:
    code, out, err = run("task", "create", name, *(options or NIGHTLY), "--json")
    assert (code, err) == (0, "")
    return str(json.loads(out)["id"])


def shown(run: Run, task_id: str) -> dict[str, object]:
    code, out, _ = run("task", "show", task_id, "--json")
    assert code == 0
    return dict(json.loads(out))


def test_a_task_is_created_as_it_is_said(run: Run) -> None:
    options = ("--type", "stop", "--server", "quick-1", "--server", "quick-2", "--group", "lab", "--weekly", "mon,fri")
    more = (
        "--at",
        "22:00",
        "--zone",
        "UTC",
        "--enforce",
        "--description",
        "after work",
        "--expires",
        "2999-01-01T00:00:00Z",
    )
    task = shown(run, create(run, "evening", *options, *more))
    assert task == {
        "id": task["id"],
        "task_name": "evening",
        "task_type": "STOP_SERVER",
        "scheduled_type": "WEEK",
        "week_list": "2,6",
        "scheduled_time": "22:00:00",
        "time_zone": "UTC",
        "expire_time": "2999-01-01T00:00:00Z",
        "schedule_task_policy": {"enforcement_enable": True},
        "description": "after work",
        "target_infos": [
            {"target_type": "SERVER", "target_id": "quick-1", "target_name": "quick-1"},
            {"target_type": "SERVER", "target_id": "quick-2", "target_name": "quick-2"},
            {"target_type": "SERVER_GROUP", "target_id": "lab", "target_name": "Lab"},
        ],
    }


def test_a_task_is_shown_line_by_line(run: Run) -> None:
    task_id = create(run, "nightly")
    code, out, err = run("task", "show", task_id)
    assert (code, err) == (0, "")
    lines = dict(line.split("  ", 1) for line in out.splitlines())
    assert {heading: text.strip() for heading, text in lines.items()} == {
        "ID": task_id,
        "Name": "nightly",
        "Type": "RESTART_SERVER",
        "Cycle": "DAY",
        "Every so many days": "1",
        "At": "03:30:00",
        "Zone": "Europe/Berlin",
        "Targets": "SERVER_GROUP lab Lab",
    }


def test_an_update_changes_what_is_said_and_an_empty_text_clears(run: Run) -> None:
    task_id = create(run, "change-me", *NIGHTLY, "--description", "old")
    update = ("--name", "changed", "--monthly", "1,L", "--type", "start", "--no-enforce", "--description", "")
    code, _, err = run("task", "update", task_id, *update)
    assert (code, err) == (0, "")
    task = shown(run, task_id)
    assert (task["task_name"], task["task_type"], task["scheduled_type"]) == ("changed", "START_SERVER", "MONTH")
    assert (task["date_list"], task["scheduled_time"]) == ("1,L", "03:30:00")
    assert task["schedule_task_policy"] == {"enforcement_enable": False}
    assert "description" not in task


def test_a_disabled_task_has_no_next_fire_until_it_is_enabled(run: Run) -> None:
    task_id = create(run, "switched")
    said = [json.loads(run("task", verb, task_id, "--json")[1]) for verb in ("disable", "enable")]
    assert [("next_execution_time" in one, one["is_enable"]) for one in said] == [(False, False), (True, True)]


def test_a_list_is_filtered_and_fetched_to_its_end(run: Run) -> None:
    created = [create(run, f"many-{number}") for number in range(12)]
    page = json.loads(run("task", "list", "--name", "many-", "--type", "restart", "--limit", "5", "--json")[1])
    whole = json.loads(run("task", "list", "--name", "many-", "--offset", "2", "--all", "--json")[1])
    assert (page["count"], len(page["items"]), whole["count"]) == (12, 5, 12)
    assert [task["id"] for task in whole["items"]] == created[::-1][2:]
    assert json.loads(run("task", "list", "--name", "many-", "--type", "stop", "--json")[1])["count"] == 0


def test_a_table_has_a_line_for_each_task_with_its_whole_id(run: Run) -> None:
    task_id = create(run, "tabled")
    code, out, err = run("task", "list", "--name", "tabled")
    heading, line = out.splitlines()
    assert (code, err) == (0, "")
    assert heading.split()[:3] == ["ID", "Name", "Next"]
    assert line.split()[:2] == [task_id, "tabled"]


def test_an_empty_list_says_so_beside_the_output(run: Run) -> None:
    assert run("task", "list", "--name", "nobody-has-this") == (0, "", "No tasks.\n")


def test_tasks_are_deleted_one_or_many_at_once(run: Run) -> None:
    one = create(run, "alone")
    many = [create(run, f"crowd-{number}") for number in range(BATCH_DELETE_MAX + 1)]
    assert run("task", "delete", one, one) == (0, "Asked to delete 1 task.\n", "")
    assert run("task", "delete", *many, "--json") == (0, "null\n", "")
    assert run("task", "show", one)[0] == 5
    assert json.loads(run("task", "list", "--name", "crowd-", "--json")[1])["count"] == 0


def test_a_preview_prints_the_next_fires_and_creates_nothing(run: Run) -> None:
    before = json.loads(run("task", "list", "--json")[1])["count"]
    code, out, err = run("task", "next", "--monthly", "L", "--months", "feb", "--at", "3:30", "--zone", "UTC")
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == 5
    assert all(line[4:8] == "-02-" and line.endswith(" 03:30:00 GMT") for line in out.splitlines())
    assert json.loads(run("task", "list", "--json")[1])["count"] == before


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--group", "lab", "--daily", "--at", "3:30"), "--type"),
        (("--type", "stop", "--daily", "--at", "3:30"), "--server ID or --group ID"),
        (("--type", "stop", "--group", "lab", "--at", "3:30"), "say when"),
        (("--type", "stop", "--group", "lab", "--daily"), "--at"),
        (("--type", "stop", "--group", "lab", "--daily", "--weekly", "mon", "--at", "3:30"), "one of"),
        (("--type", "stop", "--group", "lab", "--weekly", "mon", "--every", "2", "--at", "3:30"), "--every"),
        (("--type", "stop", "--group", "lab", "--daily", "--months", "1", "--at", "3:30"), "--months"),
    ],
)
def test_half_a_task_is_refused_before_anything_is_sent(run: Run, options: tuple[str, ...], reason: str) -> None:
    code, out, err = run("task", "create", "half", *options)
    assert (code, out) == (2, "")
    assert reason in err


def test_an_update_that_says_nothing_is_refused(run: Run) -> None:
    assert run("task", "update", "any")[0] == 2


def test_what_the_service_refuses_is_told_in_its_words(run: Run) -> None:
    code, out, err = run("task", "create", "bad name!", *NIGHTLY)
    assert (code, out) == (6, "")
    assert err.startswith("Error: WKS.00211102: ")
    assert "task_name" in err
    assert "(HTTP 400, X-Request-Id " in err


def test_every_type_of_task_has_an_everyday_word() -> None:
    said = [What(type=deed).fields() for deed in Deed]
    assert sorted(one["task_type"] for one in said) == sorted(TaskType)  # type: ignore[type-var]
