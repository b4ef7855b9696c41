"""The OpenAPI document: well formed, complete, and true to the table of operations."""

from __future__ import annotations

import re
from typing import Any

import jsonschema_rs
import msgspec
import pytest
import schemathesis
from schemathesis.core.result import Ok

from fleetcron.wire.openapi import document
from fleetcron.wire.operation import Operation
from fleetcron.wire.operations import OPERATIONS

DOCUMENT: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document(OPERATIONS, version="1.2.3")))
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
EACH = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)


def said(operation: Operation) -> dict[str, Any]:
    spoken: dict[str, Any] = DOCUMENT["paths"][operation.path][operation.method.lower()]
    return spoken


def body_schema(operation_id: str) -> dict[str, Any]:
    (row,) = [row for row in OPERATIONS if row.id == operation_id]
    name = said(row)["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    schema: dict[str, Any] = SCHEMAS[name]
    return schema


def answer_schema(operation_id: str) -> dict[str, Any]:
    (row,) = [row for row in OPERATIONS if row.id == operation_id]
    name = said(row)["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    schema: dict[str, Any] = SCHEMAS[name]
    return schema


def test_the_document_loads_with_every_operation() -> None:
    loaded = schemathesis.openapi.from_dict(DOCUMENT)
    loaded.validate()
    read = [result for result in loaded.get_all_operations() if isinstance(result, Ok)]
    assert {(one.ok().method.upper(), one.ok().path) for one in read} == {(row.method, row.path) for row in OPERATIONS}


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_every_schema_is_one(name: str) -> None:
    jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **SCHEMAS[name]})


def test_every_reference_leads_somewhere() -> None:
    named = set(re.findall(r'"#/components/schemas/([^"]+)"', msgspec.json.encode(DOCUMENT).decode()))
    assert named - SCHEMAS.keys() == set()


def test_the_version_is_the_services_own() -> None:
    assert DOCUMENT["info"]["version"] == "1.2.3"


@EACH
def test_every_operation_says_each_status_that_it_may_answer(operation: Operation) -> None:
    assert said(operation)["responses"].keys() == {str(operation.success), *map(str, operation.faults)}


@EACH
def test_every_answer_carries_a_request_id(operation: Operation) -> None:
    assert all("X-Request-Id" in answer["headers"] for answer in said(operation)["responses"].values())


@EACH
def test_every_parameter_of_the_path_is_described(operation: Operation) -> None:
    described = [parameter["name"] for parameter in said(operation)["parameters"] if parameter["in"] == "path"]
    assert described == re.findall(r"\{(\w+)\}", operation.path)


@EACH
def test_a_body_is_described_where_one_is_read(operation: Operation) -> None:
    assert ("requestBody" in said(operation)) is (operation.body is not None)


@EACH
def test_only_what_is_open_to_all_needs_no_credentials(operation: Operation) -> None:
    assert (said(operation).get("security") == []) is operation.open_to_all


def test_a_page_is_described_with_its_limits_and_defaults() -> None:
    (history,) = [row for row in OPERATIONS if row.id == "ListTaskExecuteHistory"]
    schemas = {one["name"]: one["schema"] for one in said(history)["parameters"] if one["in"] == "query"}
    assert schemas["offset"] == {"type": "integer", "minimum": 0, "maximum": 2_147_483_647, "default": 0}
    assert schemas["limit"] == {"type": "integer", "minimum": 1, "maximum": 100, "default": 10}


def test_create_demands_what_the_vendor_demands() -> None:
    create = body_schema("CreateScheduleTask")
    assert set(create["required"]) == {"task_name", "task_type", "scheduled_type", "target_infos"}
    assert create["properties"]["target_infos"]["minItems"] == 1
    assert create["properties"]["target_infos"]["maxItems"] == 1000


def test_update_demands_nothing() -> None:
    assert body_schema("UpdateScheduleTask").get("required", []) == []


def test_batch_delete_takes_twenty_different_ids() -> None:
    items = body_schema("BatchDeleteScheduleTask")["properties"]["items"]
    assert (items["minItems"], items["maxItems"], items["uniqueItems"]) == (1, 20, True)


def test_history_is_described_with_its_thirteen_fields() -> None:
    name = answer_schema("ListTaskExecuteHistory")["properties"]["items"]["items"]["$ref"].rpartition("/")[2]
    assert list(SCHEMAS[name]["properties"]) == [
        "id",
        "task_id",
        "task_type",
        "status",
        "scheduled_type",
        "total_count",
        "success_count",
        "failed_count",
        "excuting_count",
        "time_zone",
        "begin_time",
        "end_time",
        "create_time",
    ]
    assert set(SCHEMAS[name]["required"]) == set(SCHEMAS[name]["properties"])
