"""The vendor's own SDKs, unchanged, drive the service by signed requests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException, SdkException
from huaweicloudsdkcore.region.region import Region
from huaweicloudsdkworkspaceapp.v1 import (
    BatchDeleteScheduleTaskReq,
    BatchDeleteScheduleTaskRequest,
    BatchRebootServerRequest,
    BatchReinstallServerReq,
    BatchReinstallServerRequest,
    BatchStartServerReq,
    BatchStartServerRequest,
    BatchStopServerRequest,
    CreateScheduleTaskReq,
    CreateScheduleTaskRequest,
    DeleteScheduleTaskRequest,
    ListFutureExecutionsReq,
    ListFutureExecutionsRequest,
    ListScheduleTasksRequest,
    ListServerGroupsRequest,
    ListServersRequest,
    ListTaskExecuteDetailRequest,
    ListTaskExecuteHistoryRequest,
    ReinstallServerReq,
    ReinstallServerRequest,
    ScheduleTaskPolicy,
    ServerHaltReq,
    ShowScheduleTaskRequest,
    ShowServerRequest,
    TargetInfo,
    UpdateScheduleTaskReq,
    UpdateScheduleTaskRequest,
    WorkspaceAppClient,
)

from builders import eventually
from running import Running

LAB = TargetInfo(target_type="SERVER_GROUP", target_id="lab")
Client = Any
"""The SDKs publish no types."""


@pytest.fixture
def client(service: Running) -> Client:
    credentials = BasicCredentials(service.access_key, service.secret_key, service.project_id)
    return WorkspaceAppClient.new_builder().with_credentials(credentials).with_endpoint(service.url).build()


def daily(**said: object) -> UpdateScheduleTaskReq:
    """The whole body of a create: newer SDKs have it in this class alone."""
    usual: dict[str, object] = {
        "task_name": "nightly",
        "task_type": "RESTART_SERVER",
        "scheduled_type": "DAY",
        "day_interval": 1,
        "scheduled_time": "03:00:00",
        "target_infos": [LAB],
    }
    return UpdateScheduleTaskReq(**(usual | said))


def soon(seconds: float = 3) -> dict[str, object]:
    """The schedule fields of a fire in a few seconds."""
    at = datetime.now(UTC) + timedelta(seconds=seconds)
    return {
        "scheduled_type": "FIXED_TIME",
        "scheduled_date": f"{at:%Y-%m-%d}",
        "scheduled_time": f"{at:%H:%M:%S}",
        "time_zone": "UTC",
    }


def create(client: Client, **said: object) -> str:
    return str(client.create_schedule_task(CreateScheduleTaskRequest(body=daily(**said))).id)


def refused(ask: Any, request: object) -> ClientRequestException:  # noqa: ANN401  (a method of an untyped client)
    with pytest.raises(ClientRequestException) as caught:
        ask(request)
    error = caught.value
    assert error.request_id
    assert error.error_msg
    return error


def test_a_task_fires_and_its_history_is_read(client: Client) -> None:
    created = client.create_schedule_task(CreateScheduleTaskRequest(body=daily(task_name="fires", **soon())))
    assert created.status_code == 200
    assert (created.last_status, created.is_enable, created.time_zone) == ("WAITING", True, "UTC")
    assert created.next_execution_time.endswith(" GMT")

    def finished() -> Any:  # noqa: ANN401  (as above)
        page = client.list_task_execute_history(ListTaskExecuteHistoryRequest(task_id=created.id))
        return page if page.count and page.items[0].status in {"SUCCESS", "FAILED"} else None

    history = eventually(finished)
    (execution,) = history.items
    assert history.count == 1
    assert (execution.task_id, execution.task_type, execution.status) == (
        created.id,
        "RESTART_SERVER",
        "SUCCESS",
    )
    assert execution.scheduled_type == "FIXED_TIME"
    assert (execution.total_count, execution.success_count) == (3, 3)
    assert (execution.failed_count, execution.excuting_count) == (0, 0)
    assert isinstance(execution.begin_time, datetime)
    assert execution.create_time <= execution.begin_time <= execution.end_time
    details = client.list_task_execute_detail(ListTaskExecuteDetailRequest(execution.id, offset=1, limit=2))
    assert details.count == 3
    assert [(one.server_id, one.server_name, one.status) for one in details.items] == [
        ("lab-2", "Lab 2", "SUCCESS"),
        ("lab-3", "Lab 3", "SUCCESS"),
    ]
    assert {one.execute_id for one in details.items} == {execution.id}
    (listed,) = client.list_schedule_tasks(ListScheduleTasksRequest(task_name="fires")).items
    assert (listed.id, listed.last_status, listed.next_execution_time) == (created.id, "SUCCESS", None)


def test_both_ways_to_create_send_the_whole_task(client: Client) -> None:
    body = daily(schedule_task_policy=ScheduleTaskPolicy(enforcement_enable=True), description="每晚")
    typed = client.create_schedule_task(CreateScheduleTaskRequest(body=body))
    plain = client.create_schedule_task(
        CreateScheduleTaskRequest(
            body={
                "task_name": "nightly",
                "task_type": "RESTART_SERVER",
                "scheduled_type": "DAY",
                "day_interval": 1,
                "scheduled_time": "03:00:00",
                "target_infos": [{"target_type": "SERVER_GROUP", "target_id": "lab"}],
                "schedule_task_policy": {"enforcement_enable": True},
                "description": "每晚",
            }
        )
    )
    for made in (typed, plain):
        shown = client.show_schedule_task(ShowScheduleTaskRequest(made.id))
        assert (shown.task_name, shown.description, shown.time_zone) == ("nightly", "每晚", "Asia/Shanghai")
        assert shown.schedule_task_policy.enforcement_enable is True
        assert [(one.target_type, one.target_id, one.target_name) for one in shown.target_infos] == [
            ("SERVER_GROUP", "lab", "Lab")
        ]


def test_the_typed_create_which_lacks_half_of_the_body_is_refused(client: Client) -> None:
    body = CreateScheduleTaskReq(scheduled_type="DAY", day_interval=1, scheduled_time="03:00:00")
    error = refused(client.create_schedule_task, CreateScheduleTaskRequest(body=body))
    assert (error.status_code, error.error_code) == (400, "WKS.00211102")
    assert "is required" in error.error_msg


def test_a_task_is_changed_and_cleared(client: Client) -> None:
    task_id = create(client, description="before", expire_time=datetime(2099, 1, 2, 3, 4, 5))  # noqa: DTZ001  (the SDK's)
    body = UpdateScheduleTaskReq(
        task_name="weekly", scheduled_type="WEEK", week_list="7,1", description="", is_enable=False
    )
    changed = client.update_schedule_task(UpdateScheduleTaskRequest(task_id, body))
    assert (changed.task_name, changed.week_list, changed.description) == ("weekly", "7,1", None)
    assert (changed.is_enable, changed.next_execution_time) == (False, None)
    assert changed.expire_time.replace(tzinfo=None) == datetime(2099, 1, 2, 3, 4, 5)  # noqa: DTZ001  (the same)
    shown = client.show_schedule_task(ShowScheduleTaskRequest(task_id))
    assert (shown.scheduled_type, shown.task_type) == ("WEEK", "RESTART_SERVER")


def test_the_next_fires_are_previewed(client: Client) -> None:
    body = ListFutureExecutionsReq(
        scheduled_type="MONTH", month_list="2,3", date_list="L", scheduled_time="09:00:00", time_zone="Asia/Shanghai"
    )
    preview = client.list_future_executions(ListFutureExecutionsRequest(body=body))
    assert preview.time_zone == "Asia/Shanghai"
    assert len(preview.future_executions) == 5
    assert all(fire.endswith(" 09:00:00 GMT+08:00") for fire in preview.future_executions)


def test_tasks_are_listed_page_by_page(client: Client) -> None:
    made = [create(client, task_name=f"paged-{n}", task_type="STOP_SERVER") for n in range(3)]
    first = client.list_schedule_tasks(ListScheduleTasksRequest(task_name="paged-", offset=0, limit=2))
    second = client.list_schedule_tasks(
        ListScheduleTasksRequest(task_name="paged-", task_type="STOP_SERVER", offset=2, limit=2)
    )
    assert [first.count, second.count] == [3, 3]
    assert [one.id for one in (*first.items, *second.items)] == made[::-1]


def test_tasks_are_deleted_one_by_one_and_together(client: Client) -> None:
    one, *more = (create(client) for _ in range(3))
    assert client.delete_schedule_task(DeleteScheduleTaskRequest(one)).status_code == 200
    assert client.delete_schedule_task(DeleteScheduleTaskRequest(one)).status_code == 200
    batch = BatchDeleteScheduleTaskRequest(body=BatchDeleteScheduleTaskReq(items=[*more, "no-such-task"]))
    assert client.batch_delete_schedule_task(batch).status_code == 200
    for task_id in (one, *more):
        error = refused(client.show_schedule_task, ShowScheduleTaskRequest(task_id))
        assert (error.status_code, error.error_code) == (404, "WKS.00211902")
        assert task_id in error.error_msg


@pytest.mark.parametrize(("field", "value"), [("limit", 0), ("limit", 101), ("offset", -1)])
def test_a_bad_page_is_a_typed_error(client: Client, field: str, value: int) -> None:
    task_id = create(client)
    for ask, request in (
        (client.list_task_execute_history, ListTaskExecuteHistoryRequest(task_id=task_id, **{field: value})),
        (client.list_task_execute_detail, ListTaskExecuteDetailRequest(execute_history_id="e", **{field: value})),
    ):
        error = refused(ask, request)
        assert (error.status_code, error.error_code) == (400, "WKS.00169901")
        assert field in error.error_msg


def test_an_unknown_task_or_execution_is_a_typed_error(client: Client) -> None:
    for ask, request in (
        (client.list_task_execute_history, ListTaskExecuteHistoryRequest(task_id="no-such-id")),
        (client.list_task_execute_detail, ListTaskExecuteDetailRequest(execute_history_id="no-such-id")),
        (client.update_schedule_task, UpdateScheduleTaskRequest("no-such-id", UpdateScheduleTaskReq())),
    ):
        error = refused(ask, request)
        assert (error.status_code, error.error_code) == (404, "WKS.00211902")


@pytest.mark.parametrize(("access_key", "secret_key"), [(None, "guessed"), ("AKNOBODY", None)])
def test_a_wrong_key_is_a_typed_error(service: Running, access_key: str | None, secret_key: str | None) -> None:
    credentials = BasicCredentials(
        access_key or service.access_key, secret_key or service.secret_key, service.project_id
    )
    client = WorkspaceAppClient.new_builder().with_credentials(credentials).with_endpoint(service.url).build()
    error = refused(client.list_schedule_tasks, ListScheduleTasksRequest())
    assert (error.status_code, error.error_code) == (401, "APIGW.0301")


def test_another_project_is_a_typed_error(service: Running) -> None:
    credentials = BasicCredentials(service.access_key, service.secret_key, "f" * 32)
    client = WorkspaceAppClient.new_builder().with_credentials(credentials).with_endpoint(service.url).build()
    error = refused(client.list_schedule_tasks, ListScheduleTasksRequest())
    assert (error.status_code, error.error_code) == (403, "WKS.00081102")


def test_a_region_stands_for_its_project(service: Running) -> None:
    BasicCredentials._CACHE.clear()
    credentials = BasicCredentials(service.access_key, service.secret_key).with_iam_endpoint(service.url)
    region = Region("cn-north-4", service.url)
    client: Client = WorkspaceAppClient.new_builder().with_credentials(credentials).with_region(region).build()
    assert client.list_servers(ListServersRequest()).count == 3
    assert credentials.project_id in {None, service.project_id}
    with pytest.raises(SdkException, match="Failed to get project id"):
        WorkspaceAppClient.new_builder().with_credentials(
            BasicCredentials(service.access_key, service.secret_key).with_iam_endpoint(service.url)
        ).with_region(Region("nowhere-1", service.url)).build().list_servers(ListServersRequest())


def test_servers_are_operated_on_at_once(client: Client) -> None:
    def at_rest(server_id: str) -> bool:
        return bool(client.show_server(ShowServerRequest(server_id)).task_status == "null")

    halt = ServerHaltReq(items=["lab-1"], type="SOFT")
    for ask, request in (
        (client.batch_stop_server, BatchStopServerRequest(body=halt)),
        (client.batch_start_server, BatchStartServerRequest(body=BatchStartServerReq(items=["lab-1"]))),
        (client.batch_reboot_server, BatchRebootServerRequest(body=halt)),
    ):
        assert ask(request).status_code == 200
        eventually(lambda: at_rest("lab-1"))
    assert client.list_server_groups(ListServerGroupsRequest()).items[0].app_server_count == 3
    error = refused(client.batch_reboot_server, BatchRebootServerRequest(body=ServerHaltReq(items=["x"], type="HARD")))
    assert error.status_code == 404


def test_servers_are_reinstalled_and_their_jobs_followed(client: Client) -> None:
    def outcome(execution_id: str) -> str | None:
        (one,) = client.list_task_execute_detail(ListTaskExecuteDetailRequest(execution_id)).items
        return str(one.status) if one.end_time else None

    single = ReinstallServerRequest("lab-2", ReinstallServerReq(update_access_agent=False))
    job_id = client.reinstall_server(single).job_id
    assert eventually(lambda: outcome(job_id)) == "SUCCESS"
    batch = BatchReinstallServerReq(server_ids=["lab-3", "no-such-server"], update_access_agent=True)
    known, unknown = client.batch_reinstall_server(BatchReinstallServerRequest(body=batch)).items
    assert eventually(lambda: outcome(known.job_id)) == "SUCCESS"
    assert (unknown.job_id, unknown.error_code) == (None, "WKS.00211902")
