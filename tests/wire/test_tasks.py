"""Tasks on the wire: what create and update read, and what is said back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcron.domain import task as law
from fleetcron.domain.execution import Status
from fleetcron.domain.schedule import Cycle
from fleetcron.domain.task import Target, TargetKind, Task, TaskType
from fleetcron.errors import Invalid
from fleetcron.wire.fields import read_body, read_query
from fleetcron.wire.tasks import (
    BatchDelete,
    CreateTask,
    ListQuery,
    UpdateTask,
    change_of,
    draft_of,
    say_preview,
    say_task,
    say_task_shown,
)

NOW = datetime(2026, 3, 1, 12, 0, 0, 123_000, tzinfo=UTC)
ZONE = "Asia/Shanghai"
BODY: dict[str, Any] = {
    "task_name": "nightly",
    "task_type": "RESTART_SERVER",
    "scheduled_type": "DAY",
    "day_interval": 1,
    "scheduled_time": "03:00:00",
    "target_infos": [{"target_type": "SERVER", "target_id": "s-1"}],
}


def created(**said: object) -> Task:
    draft = draft_of(read_body(msgspec.json.encode(BODY | said), CreateTask), default_zone=ZONE)
    return law.create(draft, task_id="t-1", project_id="p-1", now=NOW)


def changed(task: Task, **said: object) -> Task:
    asked = change_of(read_body(msgspec.json.encode(said), UpdateTask), default_zone=ZONE)
    return law.change(task, asked, NOW + timedelta(hours=1))


def refused(kind: type, said: object) -> str:
    with pytest.raises(Invalid) as caught:
        read_body(msgspec.json.encode(said), kind)
    return caught.value.field


def listed(task: Task) -> dict[str, Any]:
    said: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(say_task(task, Status.WAITING)))
    return said


def shown(task: Task) -> dict[str, Any]:
    said: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(say_task_shown(task, {})))
    return said


def test_a_new_task_is_said_with_all_that_lists_say() -> None:
    assert listed(created()) == {
        "id": "t-1",
        "task_name": "nightly",
        "last_status": "WAITING",
        "task_type": "RESTART_SERVER",
        "task_cron": "0 0 3 * * ?",
        "next_execution_time": "2026-03-02 03:00:00 GMT+08:00",
        "scheduled_type": "DAY",
        "day_interval": 1,
        "scheduled_time": "03:00:00",
        "time_zone": "Asia/Shanghai",
        "is_enable": True,
        "create_time": "2026-03-01T12:00:00.123Z",
        "update_time": "2026-03-01T12:00:00.123Z",
    }


def test_a_task_is_shown_with_its_targets_and_without_what_only_lists_say() -> None:
    assert shown(created()) == {
        "id": "t-1",
        "task_name": "nightly",
        "task_type": "RESTART_SERVER",
        "scheduled_type": "DAY",
        "day_interval": 1,
        "scheduled_time": "03:00:00",
        "time_zone": "Asia/Shanghai",
        "target_infos": [{"target_type": "SERVER", "target_id": "s-1"}],
    }


def test_targets_are_shown_with_the_names_of_those_that_exist() -> None:
    task = created(target_infos=[{"target_type": "server_group", "target_id": k, "target_name": "x"} for k in "ab"])
    there = Target(kind=TargetKind.SERVER_GROUP, target_id="a")
    assert say_task_shown(task, {there: "Lab"})["target_infos"] == [
        {"target_type": "SERVER_GROUP", "target_id": "a", "target_name": "Lab"},
        {"target_type": "SERVER_GROUP", "target_id": "b"},
    ]


def test_fields_that_the_cycle_does_not_use_are_echoed_too() -> None:
    irrelevant = {"week_list": "7,1", "month_list": "2", "date_list": "L,1", "scheduled_date": "2030-01-01"}
    assert shown(created(**irrelevant)).items() >= irrelevant.items()


@pytest.mark.parametrize("policy", [None, {}, {"enforcement_enable": None}, {"enforcement_enable": False}])
def test_a_policy_is_shown_only_if_it_was_given(policy: dict[str, bool] | None) -> None:
    task = created(schedule_task_policy=policy)
    assert shown(task).get("schedule_task_policy") == (None if policy is None else {"enforcement_enable": False})


def test_enforcement_is_read_and_echoed() -> None:
    task = created(schedule_task_policy={"enforcement_enable": True})
    assert task.enforcement is True
    assert listed(task)["schedule_task_policy"] == {"enforcement_enable": True}


@pytest.mark.parametrize("field", ["task_name", "task_type", "scheduled_type", "target_infos"])
@pytest.mark.parametrize("without", [True, False])
def test_create_demands_what_the_vendor_demands(field: str, *, without: bool) -> None:
    body = {name: value for name, value in BODY.items() if name != field}
    assert refused(CreateTask, body if without else body | {field: None}) == field


def test_the_typed_create_of_newer_sdks_is_refused_by_name() -> None:
    assert refused(CreateTask, {"scheduled_type": "DAY", "day_interval": 1, "scheduled_time": "03:00:00"}) in {
        "task_name",
        "task_type",
        "target_infos",
    }


@pytest.mark.parametrize("name", ["a", "A-b_9", "夜间重启", "_", "-", "a" * 64])
def test_a_name_may_have_letters_digits_and_chinese(name: str) -> None:
    assert created(task_name=name).name == name


@pytest.mark.parametrize("name", ["", " ", "a b", "a\n", "\na", "a\nb", "a\0", "é", "a.b", "a/b", "😀", "a" * 65])
def test_any_other_name_is_refused(name: str) -> None:
    assert refused(CreateTask, BODY | {"task_name": name}) == "task_name"
    assert refused(UpdateTask, {"task_name": name}) == "task_name"


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"task_type": "REBOOT"}, "task_type"),
        ({"task_type": "UPGRADE_ACCESS_AGENT"}, "task_type"),
        ({"task_type": ["RESTART_SERVER"]}, "task_type"),
        ({"scheduled_type": "HOURLY"}, "scheduled_type"),
        ({"scheduled_type": ""}, "scheduled_type"),
        ({"day_interval": 32}, "day_interval"),
        ({"description": "d" * 256}, "description"),
        ({"description": 7}, "description"),
        ({"week_list": [1]}, "week_list"),
        ({"target_infos": []}, "target_infos"),
        ({"target_infos": {}}, "target_infos"),
        ({"target_infos": BODY["target_infos"] * 1001}, "target_infos"),
        ({"target_infos": [{"target_type": "SERVER"}]}, "target_infos[0].target_id"),
        ({"target_infos": [{"target_id": "s-1"}]}, "target_infos[0].target_type"),
        ({"target_infos": [{"target_type": "DESKTOP", "target_id": "s-1"}]}, "target_infos[0].target_type"),
        ({"target_infos": [{"target_type": "SERVER", "target_id": ""}]}, "target_infos[0].target_id"),
        ({"target_infos": [{"target_type": "SERVER", "target_id": "s" * 129}]}, "target_infos[0].target_id"),
        ({"target_infos": [{"target_type": "SERVER", "target_id": ["s-1"]}]}, "target_infos[0].target_id"),
        ({"schedule_task_policy": {"enforcement_enable": "yes"}}, "schedule_task_policy.enforcement_enable"),
        ({"schedule_task_policy": True}, "schedule_task_policy"),
    ],
)
def test_a_value_outside_its_limits_is_refused_by_name(said: dict[str, object], field: str) -> None:
    assert refused(CreateTask, BODY | said) == field
    assert refused(UpdateTask, said) == field


def test_enums_are_read_in_any_case_and_written_in_upper() -> None:
    task = created(task_type="stop_server", target_infos=[{"target_type": "Server_Group", "target_id": "g"}])
    assert shown(task)["task_type"] == "STOP_SERVER"
    assert shown(task)["target_infos"][0]["target_type"] == "SERVER_GROUP"


def test_a_target_named_twice_is_one() -> None:
    task = created(target_infos=[{"target_type": kind, "target_id": "x"} for kind in ("SERVER", "SERVER_GROUP") * 2])
    assert [target.kind for target in task.targets] == [TargetKind.SERVER, TargetKind.SERVER_GROUP]


def test_a_thousand_targets_are_kept_in_their_order() -> None:
    ids = [f"s-{n}" for n in range(999, -1, -1)]
    task = created(target_infos=[{"target_type": "SERVER", "target_id": key} for key in ids])
    assert [target["target_id"] for target in shown(task)["target_infos"]] == ids


def test_an_update_of_nothing_changes_nothing() -> None:
    task = created(description="before", schedule_task_policy={"enforcement_enable": True})
    nulls = dict.fromkeys(
        ("task_name", "task_type", "schedule_task_policy", "description", "is_enable", "target_infos",
         "scheduled_type", "day_interval", "week_list", "time_zone", "scheduled_time", "expire_time")
    )  # fmt: skip
    assert {**listed(changed(task)), "update_time": ""} == {**listed(task), "update_time": ""}
    assert {**listed(changed(task, **nulls)), "update_time": ""} == {**listed(task), "update_time": ""}
    assert shown(changed(task, **nulls)) == shown(task)


def test_an_update_changes_what_it_says_and_no_more() -> None:
    task = changed(created(description="before"), is_enable=False)
    assert listed(task)["is_enable"] is False
    assert listed(task)["description"] == "before"
    assert "next_execution_time" not in listed(task)


def test_everything_can_be_changed() -> None:
    task = changed(
        created(),
        task_name="monthly",
        task_type="REINSTALL_OS",
        scheduled_type="MONTH",
        month_list="1,7",
        date_list="L",
        time_zone="UTC",
        description="twice a year",
        schedule_task_policy={"enforcement_enable": True},
        target_infos=[{"target_type": "SERVER_GROUP", "target_id": "lab"}],
    )
    assert shown(task) == {
        "id": "t-1",
        "task_name": "monthly",
        "task_type": "REINSTALL_OS",
        "scheduled_type": "MONTH",
        "day_interval": 1,
        "month_list": "1,7",
        "date_list": "L",
        "time_zone": "UTC",
        "scheduled_time": "03:00:00",
        "description": "twice a year",
        "schedule_task_policy": {"enforcement_enable": True},
        "target_infos": [{"target_type": "SERVER_GROUP", "target_id": "lab"}],
    }
    assert listed(task)["next_execution_time"] == "2026-07-31 03:00:00 GMT"


def test_an_empty_text_clears_as_terraform_sends_it() -> None:
    given_ = {"week_list": "1", "month_list": "1", "date_list": "1", "scheduled_date": "2030-01-01",
              "expire_time": "2031-01-01T00:00:00Z", "description": "words"}  # fmt: skip
    task = changed(created(**given_), **dict.fromkeys(given_, ""), time_zone="")
    assert shown(task).keys().isdisjoint(given_)
    assert shown(task)["time_zone"] == ZONE


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"scheduled_type": "WEEK"}, "weekdays"),
        ({"scheduled_type": "MONTH", "month_list": "1"}, "month_days"),
        ({"scheduled_type": "FIXED_TIME"}, "on_date"),
        ({"scheduled_time": ""}, "at"),
        ({"time_zone": "Mars/Olympus"}, "zone"),
        ({"expire_time": "soon"}, "expires"),
    ],
)
def test_an_update_that_leaves_no_rule_is_refused(said: dict[str, object], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        changed(created(), **said)
    assert caught.value.field == field


def test_a_list_query_asks_for_any_task_unless_said_otherwise() -> None:
    assert read_query({}, ListQuery) == ListQuery(offset=0, limit=10, task_name="", task_type="")


@pytest.mark.parametrize("task_type", ["", "UPGRADE_ACCESS_AGENT", *TaskType])
def test_a_list_query_takes_the_types_that_the_vendor_takes(task_type: str) -> None:
    assert read_query({"task_type": task_type}, ListQuery).task_type == task_type


@pytest.mark.parametrize(
    ("field", "text"), [("task_type", "REBOOT"), ("task_type", "STOP_SERVER\n"), ("task_name", "n" * 65)]
)
def test_a_list_query_outside_its_limits_is_refused_by_name(field: str, text: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_query({field: text}, ListQuery)
    assert caught.value.field == field


@pytest.mark.parametrize("items", [[], ["x"] * 21, [""], ["x" * 129], [7], "x", None, {}])
def test_a_batch_delete_outside_its_limits_is_refused(items: object) -> None:
    assert refused(BatchDelete, {"items": items}).startswith("items")


def test_a_preview_names_the_zone_that_it_was_read_in() -> None:
    rule = created().rule
    assert rule.cycle is Cycle.DAILY
    assert say_preview([NOW], rule) == {
        "future_executions": ["2026-03-01 20:00:00 GMT+08:00"],
        "time_zone": "Asia/Shanghai",
    }


texts = st.text(max_size=20)


@given(st.dictionaries(st.sampled_from([*BODY, "description", "time_zone", "expire_time", "week_list"]), texts))
def test_whatever_texts_a_create_holds_it_is_read_or_refused(said: dict[str, str]) -> None:
    try:
        task = created(**said)
    except Invalid:
        return
    assert listed(task)["id"] == "t-1"
