"""The schedule-task family and the servers over HTTP: statuses, bodies and refusals of each operation."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from builders import eventually
from fleetcron.assembly.house import House
from fleetcron.store import executions, subtasks

BODY: dict[str, Any] = {
    "task_name": "nightly",
    "task_type": "RESTART_SERVER",
    "scheduled_type": "DAY",
    "day_interval": 1,
    "scheduled_time": "03:00:00",
    "target_infos": [{"target_type": "SERVER_GROUP", "target_id": "lab"}],
}
THIRTEEN = {
    "id": str, "task_id": str, "task_type": str, "status": str, "scheduled_type": str, "total_count": int,
    "success_count": int, "failed_count": int, "excuting_count": int, "time_zone": str, "begin_time": str,
    "end_time": str | None, "create_time": str,
}  # fmt: skip
INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z")

Create = Callable[..., str]
Fired = Callable[[int], str]


def said(answer: httpx.Response, status: int = 200) -> Any:  # noqa: ANN401  (any JSON)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def refused(answer: httpx.Response, status: int, *words: str) -> str:
    """The error's code, having seen that its message says the words."""
    fault = said(answer, status)
    assert set(fault) == {"error_code", "error_msg"}
    assert 1 <= len(fault["error_code"]) <= 16
    assert 1 <= len(fault["error_msg"]) <= 255
    assert all(word in fault["error_msg"] for word in words), fault
    return str(fault["error_code"])


def done(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.content) == (200, b"")


def test_a_task_goes_from_create_to_delete(web: httpx.Client) -> None:
    made = said(web.post("/schedule-task", json=BODY | {"description": "every night"}))
    path = f"/schedule-task/{made['id']}"
    assert made["last_status"] == "WAITING"
    assert made["is_enable"] is True
    assert made["time_zone"] == "Asia/Shanghai"
    assert made["next_execution_time"].endswith(" 03:00:00 GMT+08:00")
    assert "target_infos" not in made
    shown = said(web.get(path))
    assert shown["target_infos"] == [{"target_type": "SERVER_GROUP", "target_id": "lab", "target_name": "Lab"}]
    assert {"is_enable", "last_status", "schedule_task_policy", "week_list"}.isdisjoint(shown)
    changed = said(web.patch(path, json={"is_enable": False}))
    assert changed["is_enable"] is False
    assert "next_execution_time" not in changed
    assert changed["description"] == "every night"
    done(web.delete(path))
    assert refused(web.get(path), 404, made["id"]) == "WKS.00211902"


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_a_task_that_is_not_there_is_not_found_but_deleted(web: httpx.Client, method: str) -> None:
    answer = web.request(method, "/schedule-task/no-such-task", json={} if method == "PATCH" else None)
    if method == "DELETE":
        done(answer)
    else:
        assert refused(answer, 404, "no-such-task") == "WKS.00211902"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, ["is required"]),
        ({"scheduled_type": "DAY", "day_interval": 1, "scheduled_time": "03:00:00"}, ["is required"]),
        (BODY | {"task_name": "two words"}, ["task_name"]),
        (BODY | {"task_name": "newline\n"}, ["task_name"]),
        (BODY | {"day_interval": None}, ["day_interval", "required"]),
        (BODY | {"day_interval": 10**40}, ["day_interval"]),
        (BODY | {"scheduled_time": "25:00:00"}, ["scheduled_time"]),
        (BODY | {"scheduled_type": "WEEK"}, ["week_list", "required"]),
        (BODY | {"scheduled_type": "WEEK", "week_list": "0"}, ["week_list"]),
        (BODY | {"scheduled_type": "MONTH", "month_list": "2", "date_list": "30,31"}, ["date_list"]),
        (BODY | {"scheduled_type": "FIXED_TIME"}, ["scheduled_date", "required"]),
        (BODY | {"scheduled_type": "FIXED_TIME", "scheduled_date": "2020-01-01"}, ["scheduled_date", "past"]),
        (BODY | {"time_zone": "Mars/Olympus"}, ["time_zone"]),
        (BODY | {"time_zone": "../../etc/passwd"}, ["time_zone"]),
        (BODY | {"expire_time": "2020-01-01T00:00:00Z"}, ["expire_time", "past"]),
        (BODY | {"expire_time": "tomorrow"}, ["expire_time"]),
        (BODY | {"target_infos": [{"target_type": "SERVER", "target_id": ["s-01"]}]}, ["target_infos[0].target_id"]),
    ],
)
def test_a_create_that_cannot_be_meant_is_refused_by_name(
    web: httpx.Client, body: dict[str, Any], words: list[str]
) -> None:
    assert refused(web.post("/schedule-task", json=body), 400, *words) == "WKS.00211102"


@pytest.mark.parametrize("scheduled_type", ["FIXED_TIME", "DAY", "WEEK", "MONTH"])
def test_a_refusal_speaks_the_callers_words_alone(web: httpx.Client, scheduled_type: str) -> None:
    body = {"scheduled_type": scheduled_type, "scheduled_time": "09:00:00"}
    message = said(web.post("/schedule-task/future-executions", json=body), 400)["error_msg"]
    assert not re.search(r"ONCE|DAILY|WEEKLY|MONTHLY|weekdays|months|on_date|interval_days", message), message


def test_an_update_of_nothing_is_taken(web: httpx.Client, create: Create) -> None:
    path = f"/schedule-task/{create(week_list='7,1')}"
    before = said(web.get(path))
    for body in (b"{}", b"", b'{"week_list":null,"task_name":null}'):
        said(web.patch(path, content=body, headers={"Content-Type": "application/json"}))
        assert said(web.get(path)) == before


def test_an_empty_text_clears(web: httpx.Client, create: Create) -> None:
    cleared = {"description": "d", "week_list": "7,1", "expire_time": "2099-01-01T00:00:00Z"}
    task_id = create(**cleared)
    changed = said(web.patch(f"/schedule-task/{task_id}", json=dict.fromkeys(cleared, "")))
    assert changed.keys().isdisjoint(cleared)


def test_an_update_that_leaves_no_rule_changes_nothing(web: httpx.Client, create: Create) -> None:
    path = f"/schedule-task/{create()}"
    before = said(web.get(path))
    refused(web.patch(path, json={"task_name": "renamed", "scheduled_time": ""}), 400, "scheduled_time")
    assert said(web.get(path)) == before


def test_tasks_are_listed_newest_first_and_counted_whole(web: httpx.Client, create: Create) -> None:
    made = [create(task_name=f"listed-{n}") for n in range(5)]
    page = said(web.get("/schedule-task", params={"task_name": "listed-", "limit": 2, "offset": 1}))
    assert page["count"] == 5
    assert [item["id"] for item in page["items"]] == [made[3], made[2]]
    assert said(web.get("/schedule-task", params={"task_name": "listed-", "offset": 99})) == {"count": 5, "items": []}


def test_a_list_takes_the_empty_filters_that_terraform_sends(web: httpx.Client, create: Create) -> None:
    create(task_name="filtered", task_type="STOP_SERVER")
    assert said(web.get("/schedule-task?task_name=&task_type="))["count"] >= 1
    assert said(web.get("/schedule-task?task_name=filtered&task_type=START_SERVER"))["count"] == 0


BAD_PAGES = [("limit", text) for text in ("0", "101", "-1", "x", "", "1.5", "9" * 400, "%00", "1%0A", "%D9%A3")] + [
    ("offset", text) for text in ("-1", "x", "", "2147483648", "9" * 400, "1e400")
]


@pytest.mark.parametrize(("field", "text"), BAD_PAGES)
@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/schedule-task", "WKS.00211102"),
        ("/schedule-task/t/execute-history", "WKS.00169901"),
        ("/schedule-task/e/execute-detail", "WKS.00169901"),
        ("/app-servers", "WKS.00211102"),
        ("/app-server-groups", "WKS.00211102"),
    ],
)
def test_a_page_outside_its_limits_is_refused_by_name(
    web: httpx.Client, path: str, code: str, field: str, text: str
) -> None:
    assert refused(web.get(f"{path}?{field}={text}"), 400, field) == code


@pytest.mark.parametrize("query", ["limit=1&limit=2", "offset=0&limit=1&offset=0", "limit=1&%6Cimit=1"])
def test_a_name_that_stands_twice_in_a_query_is_refused(web: httpx.Client, query: str) -> None:
    refused(web.get(f"/schedule-task?{query}"), 400, "twice")


@pytest.mark.parametrize("query", ["unknown=1", "x", "&&", "limit=10&=&;", "=", "%FF=%FF", "a=1&b=2"])
def test_names_that_an_operation_does_not_know_are_passed_over(web: httpx.Client, query: str) -> None:
    said(web.get(f"/schedule-task?{query}"))


def test_a_query_of_very_many_names_is_refused(web: httpx.Client) -> None:
    refused(web.get("/schedule-task", params={f"k{n}": "1" for n in range(101)}), 400, "query")


def test_history_has_exactly_the_thirteen_fields(web: httpx.Client, fired: Fired) -> None:
    task_id = fired(2)
    page = said(web.get(f"/schedule-task/{task_id}/execute-history"))
    assert page["count"] == 2
    for item in page["items"]:
        assert list(item) == list(THIRTEEN)
        assert all(isinstance(item[name], kind) for name, kind in THIRTEEN.items()), item
        assert item["task_id"] == task_id
        assert INSTANT.fullmatch(item["create_time"])
        assert INSTANT.fullmatch(item["begin_time"])
        assert item["total_count"] >= item["success_count"] + item["failed_count"] + item["excuting_count"]
    assert page["items"][0]["end_time"] == "2026-03-01T12:02:30.000Z"
    assert page["items"][1]["end_time"] is None


def test_history_is_the_newest_ten_unless_said_otherwise(web: httpx.Client, fired: Fired) -> None:
    task_id = fired(12)
    path = f"/schedule-task/{task_id}/execute-history"
    page = said(web.get(path))
    assert [item["id"] for item in page["items"]] == [f"{task_id}-{n}" for n in range(12, 2, -1)]
    assert said(web.get(path, params={"offset": 0, "limit": 10})) == page
    assert [item["id"] for item in said(web.get(path, params={"offset": 10}))["items"]] == [
        f"{task_id}-2",
        f"{task_id}-1",
    ]
    assert len(said(web.get(path, params={"limit": 100}))["items"]) == 12
    assert said(web.get(path, params={"offset": 2_147_483_647})) == {"count": 12, "items": []}
    times = [item["create_time"] for item in page["items"]]
    assert times == sorted(times, reverse=True)


def test_a_task_that_has_not_fired_has_an_empty_history(web: httpx.Client, create: Create) -> None:
    assert said(web.get(f"/schedule-task/{create()}/execute-history")) == {"count": 0, "items": []}


@pytest.mark.parametrize("task_id", ["no-such-task", "%E5%A4%9C", "%FF", "..", "'", "*", "%25"])
def test_the_history_of_an_unknown_task_is_not_found(web: httpx.Client, task_id: str) -> None:
    assert refused(web.get(f"/schedule-task/{task_id}/execute-history"), 404) in {"WKS.00211902", "APIGW.0101"}


def test_an_id_with_the_character_that_no_id_has_is_refused(web: httpx.Client) -> None:
    assert refused(web.get("/schedule-task/%00/execute-history"), 400, "NUL")


def test_an_id_longer_than_any_is_refused(web: httpx.Client) -> None:
    for path in ("execute-history", "execute-detail"):
        assert web.get(f"/schedule-task/{'x' * 5000}/{path}").status_code in {400, 404}


def test_the_history_of_a_deleted_task_is_not_found(web: httpx.Client, fired: Fired) -> None:
    task_id = fired(1)
    done(web.delete(f"/schedule-task/{task_id}"))
    refused(web.get(f"/schedule-task/{task_id}/execute-history"), 404, task_id)


def test_an_executions_details_are_found_by_its_own_id(web: httpx.Client, fired: Fired) -> None:
    task_id = fired(2)
    page = said(web.get(f"/schedule-task/{task_id}-2/execute-detail"))
    assert page["count"] == 1
    assert page["items"][0]["execute_id"] == f"{task_id}-2"
    # The description of the vendor's API says "scheduled task", but a task's id is not an execution's.
    refused(web.get(f"/schedule-task/{task_id}/execute-detail"), 404, task_id)


def test_an_execution_is_cancelled_and_again_but_not_after_its_end(
    service: House, web: httpx.Client, fired: Fired
) -> None:
    task_id = fired(2)
    path = f"/schedule-task/{task_id}/execute-history/{task_id}-{{}}/cancel"
    for _ in range(2):
        done(web.post(path.format(1)))
    assert refused(web.post(path.format(2)), 409, f"{task_id}-2 has already ended; it is SUCCESS.") == "WKS.00211103"
    assert refused(web.post(path.format(3)), 404, f"{task_id}-3") == "WKS.00211902"
    refused(web.get(path.format(1)), 405)
    with service.database.snapshot() as tx:
        first, second = executions.read(tx, [f"{task_id}-1", f"{task_id}-2"])
    assert first.cancelled_at is not None
    assert second.cancelled_at is None


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ({"scheduled_type": "DAY", "day_interval": 1, "scheduled_time": "09:00:00"}, 5),
        ({"scheduled_type": "WEEK", "week_list": "1", "scheduled_time": "09:00:00"}, 5),
        ({"scheduled_type": "month", "month_list": "2", "date_list": "L", "scheduled_time": "09:00:00"}, 5),
        ({"scheduled_type": "FIXED_TIME", "scheduled_date": "2099-01-01", "scheduled_time": "09:00:00"}, 1),
        ({"scheduled_type": "FIXED_TIME", "scheduled_date": "2020-01-01", "scheduled_time": "09:00:00"}, 0),
    ],
)
def test_the_next_five_fires_can_be_asked_for(web: httpx.Client, body: dict[str, Any], count: int) -> None:
    preview = said(web.post("/schedule-task/future-executions", json=body))
    assert preview["time_zone"] == "Asia/Shanghai"
    assert len(preview["future_executions"]) == count
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d 09:00:00 GMT\+08:00", fire) for fire in preview["future_executions"])
    assert preview["future_executions"] == sorted(set(preview["future_executions"]))


def test_many_tasks_are_deleted_at_once(web: httpx.Client, create: Create) -> None:
    ids = [create() for _ in range(3)]
    done(web.post("/schedule-task/actions/batch-delete", json={"items": [*ids[:2], "no-such-task"]}))
    assert [web.get(f"/schedule-task/{key}").status_code for key in ids] == [404, 404, 200]


@pytest.mark.parametrize(
    "items", [[], None, "x", ["x", "x"], [""], ["x" * 129], [7], [f"x{n}" for n in range(21)], {}, [None]]
)
def test_a_batch_outside_its_limits_is_refused(web: httpx.Client, items: object) -> None:
    refused(web.post("/schedule-task/actions/batch-delete", json={"items": items}), 400, "items")


def test_twenty_tasks_may_be_deleted_at_once(web: httpx.Client) -> None:
    done(web.post("/schedule-task/actions/batch-delete", json={"items": [f"x{n}" for n in range(20)]}))


def test_the_literal_paths_are_not_taken_for_tasks(web: httpx.Client) -> None:
    for path in ("/schedule-task/future-executions", "/schedule-task/actions"):
        refused(web.get(path), 404 if path.endswith("actions") else 405)


def test_servers_and_groups_are_listed_and_shown(web: httpx.Client) -> None:
    page = said(web.get("/app-servers", params={"server_name": "s-0", "limit": 2}))
    assert page["count"] == 9
    assert [item["id"] for item in page["items"]] == ["s-01", "s-02"]
    assert said(web.get("/app-servers/s-01"))["server_group_name"] == "Lab"
    assert said(web.get("/app-server-groups"))["items"][0]["app_server_count"] == 60
    assert said(web.get("/app-server-groups/lab"))["id"] == "lab"
    refused(web.get("/app-servers/s-99"), 404, "s-99")
    refused(web.get("/app-server-groups/s-01"), 404, "s-01")


def settled(web: httpx.Client, execution_id: str) -> dict[str, Any]:
    """The first detail of an execution that is over."""
    page = said(web.get(f"/schedule-task/{execution_id}/execute-detail"))
    return dict(page["items"][0]) if all(item["end_time"] for item in page["items"]) else {}


def test_a_server_is_reinstalled_at_once(web: httpx.Client) -> None:
    job_id = said(web.post("/app-servers/s-10/actions/reinstall", json={}))["job_id"]
    detail = eventually(lambda: settled(web, job_id))
    assert (detail["server_id"], detail["task_type"]) == ("s-10", "REINSTALL_OS")
    assert detail["status"] == "SUCCESS"


def test_operations_that_collide_on_a_server_all_end(web: httpx.Client) -> None:
    jobs = [said(web.post("/app-servers/s-12/actions/reinstall", json={}))["job_id"] for _ in range(20)]
    details = [eventually(lambda job_id=job_id: settled(web, job_id)) for job_id in jobs]  # type: ignore[misc]
    assert details[0]["status"] == "SUCCESS"
    assert {detail["result_code"] for detail in details} <= {None, "FC.CONFLICT"}


def test_servers_are_reinstalled_at_once_and_unknown_ones_told_apart(web: httpx.Client) -> None:
    body = {"server_ids": ["s-11", "no-such-server"], "update_access_agent": True}
    known, unknown = said(web.post("/app-servers/actions/batch-reinstall", json=body))["items"]
    assert (known["server_id"], known["error_code"]) == ("s-11", None)
    assert (unknown["server_id"], unknown["job_id"], unknown["error_code"]) == ("no-such-server", None, "WKS.00211902")
    assert eventually(lambda: settled(web, known["job_id"]))["status"] == "SUCCESS"


def test_a_batch_of_unknown_servers_alone_is_told_so(web: httpx.Client) -> None:
    (item,) = said(web.post("/app-servers/actions/batch-reinstall", json={"server_ids": ["nope"]}))["items"]
    assert (item["job_id"], item["error_code"]) == (None, "WKS.00211902")


@pytest.mark.parametrize(("verb", "number"), [("batch-start", 20), ("batch-stop", 21), ("batch-reboot", 22)])
def test_servers_are_operated_on_at_once(web: httpx.Client, service: House, verb: str, number: int) -> None:
    done(web.patch(f"/app-servers/actions/{verb}", json={"items": [f"s-{number}"], "type": "soft"}))

    def statuses() -> list[str]:
        with service.database.snapshot() as tx:
            ids = tx.execute("SELECT execution_id FROM subtasks WHERE server_id = ?", (f"s-{number}",)).fetchall()
            return [one.status for (key,) in ids for one in subtasks.page(tx, key, offset=0, limit=1) if one.ended_at]

    assert eventually(statuses) == ["SUCCESS"]


def test_a_batch_with_one_unknown_server_does_nothing(web: httpx.Client, service: House) -> None:
    refused(web.patch("/app-servers/actions/batch-reboot", json={"items": ["s-30", "no-such-server"]}), 404)
    with service.database.snapshot() as tx:
        assert tx.execute("SELECT count(*) FROM subtasks WHERE server_id = 's-30'").fetchone() == (0,)


@pytest.mark.parametrize("verb", ["batch-start", "batch-stop", "batch-reboot"])
@pytest.mark.parametrize("items", [[], ["s-40", "s-40"], [f"s-{n}" for n in range(21)], None])
def test_a_batch_of_servers_outside_its_limits_is_refused(web: httpx.Client, verb: str, items: object) -> None:
    refused(web.patch(f"/app-servers/actions/{verb}", json={"items": items}), 400, "items")
