"""The table of operations: complete, without contradictions, and as the vendor publishes it."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from fleetcron.domain.access import Permission
from fleetcron.web.app import DEEDS
from fleetcron.wire.operation import Dialect, Operation
from fleetcron.wire.operations import FLEET_OPERATIONS, OPERATIONS, OWN_OPERATIONS, TASK_OPERATIONS

# Id, method, path behind the project, action: the vendor's overview of the family.
PUBLISHED = [
    ("ListScheduleTasks", "GET", "/schedule-task", "list"),
    ("CreateScheduleTask", "POST", "/schedule-task", "create"),
    ("ShowScheduleTask", "GET", "/schedule-task/{task_id}", "get"),
    ("UpdateScheduleTask", "PATCH", "/schedule-task/{task_id}", "update"),
    ("DeleteScheduleTask", "DELETE", "/schedule-task/{task_id}", "delete"),
    ("BatchDeleteScheduleTask", "POST", "/schedule-task/actions/batch-delete", "batchDelete"),
    ("ListFutureExecutions", "POST", "/schedule-task/future-executions", "getFuture"),
    ("ListTaskExecuteHistory", "GET", "/schedule-task/{task_id}/execute-history", "listRecords"),
    ("ListTaskExecuteDetail", "GET", "/schedule-task/{execute_history_id}/execute-detail", "getRecord"),
]
DOCUMENTED = {400, 401, 403, 404, 405, 500, 503}
EACH = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)


def test_the_nine_operations_are_as_published() -> None:
    table = [(row.id, row.method, row.path, row.permission) for row in TASK_OPERATIONS]
    assert table == [
        (id_, method, "/v1/{project_id}" + path, "workspace:scheduledTasks:" + action)
        for id_, method, path, action in PUBLISHED
    ]


def test_what_is_ours_keeps_out_of_the_vendors_way_and_asks_for_an_action_that_there_is() -> None:
    table = [(row.id, row.method, row.path, row.permission) for row in OWN_OPERATIONS]
    path = "/v1/{project_id}/schedule-task/{task_id}/execute-history/{execute_history_id}/cancel"
    assert table == [("CancelTaskExecution", "POST", path, "workspace:scheduledTasks:update")]
    published = {row.path for row in (*TASK_OPERATIONS, *FLEET_OPERATIONS)}
    assert all(row.path not in published for row in OWN_OPERATIONS)


def test_every_operation_has_a_deed_and_every_deed_an_operation() -> None:
    assert {row.id for row in OPERATIONS} == DEEDS.keys()


def test_no_id_and_no_route_stands_twice() -> None:
    ids = Counter(row.id for row in OPERATIONS)
    routes = Counter((row.method, re.sub(r"\{\w+\}", "{}", row.path)) for row in OPERATIONS)
    assert [key for key, count in (ids + routes).items() if count > 1] == []


def test_all_that_may_be_allowed_is_asked_for_somewhere() -> None:
    assert {row.permission for row in OPERATIONS if row.permission} == set(Permission)


@EACH
def test_every_status_that_the_vendor_documents_has_its_code(operation: Operation) -> None:
    assert operation.faults.keys() >= DOCUMENTED


@EACH
def test_a_code_fits_where_the_sdks_keep_it(operation: Operation) -> None:
    assert all(1 <= len(code) <= 16 for code in operation.faults.values())


@EACH
def test_a_body_can_be_of_the_wrong_type_and_too_large(operation: Operation) -> None:
    if operation.dialect is Dialect.WORKSPACE and operation.body is not None:
        assert {413, 415} <= operation.faults.keys()


@EACH
def test_only_signing_in_and_the_versions_are_open_to_all(operation: Operation) -> None:
    open_ids = {"KeystoneCreateUserTokenByPassword", "KeystoneListVersions", "KeystoneShowVersion"}
    assert operation.open_to_all is (operation.id in open_ids)


@pytest.mark.parametrize(
    "operation", [*TASK_OPERATIONS, *OWN_OPERATIONS, *FLEET_OPERATIONS], ids=lambda operation: operation.id
)
def test_what_works_on_a_project_needs_a_permission_and_answers_200(operation: Operation) -> None:
    assert operation.permission is not None
    assert operation.success == 200
    assert operation.path.startswith("/v1/{project_id}/")


def test_the_execute_queries_document_the_generic_code_for_bad_values() -> None:
    codes = {row.id: row.faults[400] for row in TASK_OPERATIONS}
    assert [id_ for id_, code in codes.items() if code != "WKS.00211102"] == [
        "ListTaskExecuteHistory",
        "ListTaskExecuteDetail",
    ]
