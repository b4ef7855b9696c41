"""OpenStack's own command line against our identity API."""

from __future__ import annotations

import subprocess
from typing import Any

import httpx
import pytest

from peers.openstackclient import OpenStackClient, openstackclient
from running import Running

TOKEN = "X-Auth-Token"


@pytest.fixture(scope="module")
def cloud(service: Running, tmp_path_factory: pytest.TempPathFactory) -> OpenStackClient:
    """The administrator's, for the project, by password."""
    variables = {
        "OS_AUTH_URL": f"{service.url}/v3",
        "OS_IDENTITY_API_VERSION": "3",
        "OS_REGION_NAME": "cn-north-4",
        "OS_USERNAME": "admin",
        "OS_PASSWORD": service.password,
        "OS_USER_DOMAIN_NAME": "default",
        "OS_PROJECT_DOMAIN_NAME": "default",
        "OS_PROJECT_NAME": "cn-north-4",
    }
    return openstackclient(tmp_path_factory.mktemp("home"), variables)


@pytest.fixture(scope="module")
def issued(cloud: OpenStackClient) -> dict[str, Any]:
    """What ``token issue`` shows."""
    shown: dict[str, Any] = cloud.asks("token", "issue")
    return shown


def listed(service: Running, token: str) -> int:
    return httpx.get(f"{service.project_url}/schedule-task", headers={TOKEN: token}).status_code


def test_a_token_is_issued_for_a_project(issued: dict[str, Any], service: Running) -> None:
    assert issued["project_id"] == service.project_id
    assert set(issued) >= {"expires", "id", "user_id"}
    assert listed(service, issued["id"]) == 200


def test_a_token_signs_in_by_itself(cloud: OpenStackClient, issued: dict[str, Any], service: Running) -> None:
    by_token = OpenStackClient(
        program=cloud.program,
        home=cloud.home,
        variables={name: value for name, value in cloud.variables.items() if not name.startswith("OS_USER")}
        | {"OS_AUTH_TYPE": "v3token", "OS_TOKEN": issued["id"], "OS_PASSWORD": ""},
    )
    again = by_token.asks("token", "issue")
    assert (again["project_id"], again["user_id"]) == (service.project_id, issued["user_id"])
    assert again["expires"] == issued["expires"]


def test_a_revoked_token_is_over(cloud: OpenStackClient, service: Running) -> None:
    token = service.token()
    assert listed(service, token) == 200
    cloud.asks("token", "revoke", token)
    assert listed(service, token) == 401
    assert refused(cloud.run("token", "revoke", token), "404")


def test_projects_are_listed(cloud: OpenStackClient, service: Running) -> None:
    assert cloud.asks("project", "list") == [{"ID": service.project_id, "Name": "cn-north-4"}]


def test_users_are_listed(cloud: OpenStackClient, issued: dict[str, Any]) -> None:
    assert {"ID": issued["user_id"], "Name": "admin"} in cloud.asks("user", "list")


def test_the_catalogue_says_where_the_identity_api_is(cloud: OpenStackClient, service: Running) -> None:
    (entry,) = [entry for entry in cloud.asks("catalog", "list") if entry["Type"] == "identity"]
    assert [(one["interface"], one["url"]) for one in entry["Endpoints"]] == [("public", f"{service.url}/v3")]


def test_a_wrong_password_is_said_so(cloud: OpenStackClient) -> None:
    assert refused(cloud.run("token", "issue", OS_PASSWORD="wrong"), "401", "The username or password is wrong.")


def refused(done: subprocess.CompletedProcess[str], *words: str) -> bool:
    return done.returncode != 0 and all(word in done.stderr for word in words)
