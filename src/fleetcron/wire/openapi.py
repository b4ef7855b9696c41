"""The OpenAPI document, made from the table of operations and from the types that it names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from fleetcron.wire.faults import Fault
from fleetcron.wire.identity import FaultAnswer
from fleetcron.wire.operation import Dialect, Operation

_PARAMETER = re.compile(r"\{(\w+)\}")
_JSON: Final = "application/json"
_TOKEN: Final = "X-Auth-Token"  # noqa: S105  (the header's name)
_SHAPES: Final[dict[Dialect, Any]] = {Dialect.WORKSPACE: Fault, Dialect.IDENTITY: FaultAnswer}


def document(operations: Sequence[Operation], *, version: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of these operations, ready to be encoded."""
    types = [kind for row in operations for kind in (row.query, row.body, row.answer) if kind is not None]
    schemas, components = msgspec.json.schema_components(
        [*types, *_SHAPES.values()], ref_template="#/components/schemas/{name}"
    )
    schema_of = dict(zip([id(kind) for kind in (*types, *_SHAPES.values())], schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for row in operations:
        paths.setdefault(row.path, {})[row.method.lower()] = _operation(row, schema_of, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "fleetcron",
            "version": version,
            "description": "Scheduled operations on fleets of servers; the schedule-task operations are "
            "wire-compatible with the Huawei Cloud Workspace application-streaming API.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "apiKey", "in": "header", "name": _TOKEN},
                "signature": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "SDK-HMAC-SHA256 request signing with an access key, as the vendor's SDKs do it.",
                },
            },
        },
        "security": [{"token": []}, {"signature": []}],
    }


def _operation(row: Operation, schema_of: dict[int, Any], components: dict[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {"operationId": row.id, "summary": row.summary, "tags": [row.tag]}
    action = row.action or row.permission
    if action is not None:
        said["description"] = f"Permission: `{action}`."
    said["parameters"] = [*_path_parameters(row.path), *_query_parameters(row, schema_of, components)]
    if row.id in {"KeystoneValidateToken", "KeystoneRevokeToken"}:
        said["parameters"].append(
            {"name": "X-Subject-Token", "in": "header", "required": True, "schema": {"type": "string"}}
        )
    if row.body is not None:
        named = schema_of[id(row.body)]["$ref"].rpartition("/")[2]
        required = bool(components[named].get("required"))
        said["requestBody"] = {"required": required, "content": {_JSON: {"schema": schema_of[id(row.body)]}}}
    if row.open_to_all:
        said["security"] = []
    said["responses"] = dict(_responses(row, schema_of))
    return said


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _PARAMETER.findall(path)
    ]


def _query_parameters(
    row: Operation, schema_of: dict[int, Any], components: dict[str, Any]
) -> Iterable[dict[str, Any]]:
    if row.query is None:
        return
    name = schema_of[id(row.query)]["$ref"].rpartition("/")[2]
    for field, schema in components[name]["properties"].items():
        yield {"name": field, "in": "query", "required": False, "schema": schema}


def _responses(row: Operation, schema_of: dict[int, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    headers = {"X-Request-Id": {"schema": {"type": "string"}}}
    success: dict[str, Any] = {"description": "Response to a successful request.", "headers": headers}
    if row.answer is not None:
        success["content"] = {_JSON: {"schema": schema_of[id(row.answer)]}}
    yield str(row.success), success
    shape = {_JSON: {"schema": schema_of[id(_SHAPES[row.dialect])]}}
    for status, code in sorted(row.faults.items()):
        meaning = HTTPStatus(status).phrase if code == str(status) else f"{HTTPStatus(status).phrase} (`{code}`)."
        yield str(status), {"description": meaning, "headers": headers, "content": shape}
