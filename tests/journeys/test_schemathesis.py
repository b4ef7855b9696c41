"""The service holds to its own OpenAPI document, whatever is asked of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from fleetcron.wire.openapi import document
from fleetcron.wire.operations import OPERATIONS
from running import Running, running

EXAMPLES_MAX = 12
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
TASK = {
    "task_name": "nightly",
    "task_type": "RESTART_SERVER",
    "scheduled_type": "DAY",
    "day_interval": 1,
    "scheduled_time": "03:00:00",
    "target_infos": [{"target_type": "SERVER_GROUP", "target_id": "lab"}],
}
ROLE = {
    "role": {
        "display_name": "players",
        "type": "XA",
        "policy": {"Version": "5.0", "Statement": [{"Effect": "Allow", "Action": ["workspace:*:*"]}]},
    }
}

BOUNDED = settings(
    max_examples=EXAMPLES_MAX,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)

schema = schemathesis.openapi.from_dict(msgspec.json.decode(msgspec.json.encode(document(OPERATIONS, version="0"))))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One for this game alone: it leaves tasks, users and busy servers behind."""
    with running(tmp_path_factory.mktemp("game")) as service:
        yield service


@pytest.fixture(scope="module")
def headers(service: Running) -> dict[str, str]:
    return {"X-Auth-Token": service.token()}


@pytest.fixture(scope="module")
def known(service: Running, headers: dict[str, str]) -> dict[str, str]:
    """Ids that are there, by the names of the paths' parameters; deleting them is part of the game."""
    with httpx.Client(headers=headers, trust_env=False) as client:
        task = client.post(f"{service.project_url}/schedule-task", json=TASK).json()
        job = client.post(f"{service.project_url}/app-servers/lab-1/actions/reinstall").json()
        user = client.post(f"{service.url}/v3/users", json={"user": {"name": "sue"}}).json()["user"]
        body = {"credential": {"user_id": user["id"]}}
        key = client.post(f"{service.url}/v3.0/OS-CREDENTIAL/credentials", json=body).json()["credential"]
        group = client.post(f"{service.url}/v3/groups", json={"group": {"name": "players"}}).json()["group"]
        role = client.post(f"{service.url}/v3.0/OS-ROLE/roles", json=ROLE).json()["role"]
    return {
        "task_id": task["id"],
        "execute_history_id": job["job_id"],
        "server_id": "lab-1",
        "server_group_id": "lab",
        "user_id": user["id"],
        "access_key": key["access"],
        "group_id": group["id"],
        "role_id": role["id"],
        "domain_id": "default",
    }


@schema.parametrize()
@BOUNDED
def test_every_answer_is_as_documented(case: Any, service: Running, headers: dict[str, str]) -> None:  # noqa: ANN401
    if "project_id" in case.path_parameters:
        # Any other project is forbidden, and there the game would end.
        case.path_parameters["project_id"] = service.project_id
    case.call_and_validate(base_url=service.url, headers=headers, checks=CHECKS)


@schema.include(path_regex=r"\{(?!project_id)").parametrize()
@BOUNDED
def test_every_answer_about_what_is_there_is_as_documented(
    case: Any,  # noqa: ANN401  (schemathesis' own)
    service: Running,
    headers: dict[str, str],
    known: dict[str, str],
) -> None:
    there = {**known, "project_id": service.project_id}
    case.path_parameters.update({name: there[name] for name in case.path_parameters})
    case.call_and_validate(base_url=service.url, headers=headers, checks=CHECKS)
