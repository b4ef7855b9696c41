"""The identity API: versions, projects and accounts as the clients read them, and the table of its operations."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import huaweicloudsdkiam.v3 as iam
import msgspec
import pytest

from fleetcron.domain.access import Account, Project
from fleetcron.wire.access import OPERATIONS, VersionAnswer, say_domains, say_project, say_projects, say_version
from fleetcron.wire.operation import Dialect, Operation

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BASE = "http://localhost:8080"
HOME = Account(account_id="a", name="home", created_at=NOW)
NORTH = Project(project_id="p", account_id="a", name="north", created_at=NOW)


def test_a_version_leads_to_version_three() -> None:
    version = say_version(BASE)
    assert version["id"].startswith("v3.")
    assert version["status"] == "stable"
    assert {"rel": "self", "href": f"{BASE}/v3"} in version["links"]
    msgspec.convert({"version": version}, VersionAnswer)


def test_the_sdk_finds_a_project_by_its_region() -> None:
    said = json.loads(msgspec.json.encode(say_projects([NORTH], BASE)))
    answer = iam.IamClient()._deserialize(said, iam.KeystoneListProjectsResponse)
    (project,) = answer.projects
    assert (project.id, project.name, project.domain_id, project.parent_id) == ("p", "north", "a", "a")
    assert (project.enabled, project.is_domain) == (True, False)
    assert answer.links._self == f"{BASE}/v3/projects"


def test_the_sdk_finds_the_account() -> None:
    said = json.loads(msgspec.json.encode(say_domains([HOME], BASE)))
    (domain,) = iam.IamClient()._deserialize(said, iam.KeystoneListAuthDomainsResponse).domains
    assert (domain.id, domain.name, domain.enabled) == ("a", "home", True)


def test_the_sdk_reads_one_project() -> None:
    said = json.loads(msgspec.json.encode({"project": say_project(NORTH, BASE)}))
    project = iam.IamClient()._deserialize(said, iam.KeystoneShowProjectResponse).project
    assert (project.id, project.name, project.links._self) == ("p", "north", f"{BASE}/v3/projects/p")


def test_what_is_not_there_is_an_empty_list() -> None:
    assert say_projects([], BASE)["projects"] == []
    assert say_domains([], BASE)["domains"] == []


def test_operations_are_told_apart() -> None:
    assert len({operation.id for operation in OPERATIONS}) == len(OPERATIONS)
    assert len({(operation.method, operation.path) for operation in OPERATIONS}) == len(OPERATIONS)


def test_only_versions_and_signing_in_are_open_to_all() -> None:
    assert {(operation.method, operation.path) for operation in OPERATIONS if operation.open_to_all} == {
        ("GET", "/"),
        ("GET", "/v3"),
        ("POST", "/v3/auth/tokens"),
    }


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
def test_an_operation_is_described_in_full(operation: Operation) -> None:
    assert operation.dialect is Dialect.IDENTITY
    assert re.fullmatch(r"[A-Z].*[^.]", operation.summary)
    assert (operation.body is not None) == (operation.method in {"POST", "PATCH"})
    assert (operation.answer is None) == (operation.success == 204)
    for kind in (operation.query, operation.body, operation.answer):
        if kind is not None:
            assert msgspec.json.schema(kind)
    assert {400, 401, 404} <= operation.faults.keys()
