"""OpenStack's own client library signs in and uses the service."""

from __future__ import annotations

from typing import Any

import pytest
from keystoneauth1 import discover, session
from keystoneauth1.exceptions import catalog, http
from keystoneauth1.identity import v3

from running import Running


def signed_in(service: Running, **scope: Any) -> Any:  # noqa: ANN401  (the library publishes few types)
    auth = v3.Password(
        auth_url=f"{service.url}/v3",
        username="admin",
        user_domain_name="default",
        password=service.password,
        **scope,
    )
    return session.Session(auth=auth)


def test_a_password_gives_a_session_that_may_call(service: Running) -> None:
    client = signed_in(service, project_name="cn-north-4", project_domain_name="default")
    answer = client.get(f"{service.project_url}/schedule-task")
    assert answer.status_code == 200
    assert client.get_project_id() == service.project_id


@pytest.mark.parametrize("path", ["", "/v3", "/v3/"])
def test_the_versions_are_discovered(service: Running, path: str) -> None:
    found = discover.Discover(session.Session(), f"{service.url}{path}")
    assert found.data_for("v3") is not None
    assert (found.url_for("v3") or "").rstrip("/") == f"{service.url}/v3"


def test_a_token_is_said_to_stand_for_what_was_asked(service: Running) -> None:
    client = signed_in(service, project_id=service.project_id)
    access = client.auth.get_access(client)
    assert (access.username, access.project_id, access.project_name) == ("admin", service.project_id, "cn-north-4")
    assert (access.user_domain_name, access.project_domain_name) == ("default", "default")
    assert access.will_expire_soon(stale_duration=23 * 3600) is False
    assert access.will_expire_soon(stale_duration=25 * 3600) is True


def test_a_token_is_validated(service: Running) -> None:
    client = signed_in(service, project_id=service.project_id)
    subject = {"X-Subject-Token": client.get_token()}
    said = client.get(f"{service.url}/v3/auth/tokens", headers=subject)
    assert said.headers["X-Subject-Token"] == subject["X-Subject-Token"]
    assert said.json()["token"]["project"]["id"] == service.project_id
    with pytest.raises(http.NotFound, match="X-Subject-Token is invalid in the request"):
        client.get(f"{service.url}/v3/auth/tokens", headers={"X-Subject-Token": "nonsense"})


def test_whoever_has_chosen_no_project_is_shown_them(service: Running) -> None:
    client = signed_in(service, unscoped=True)
    projects = client.get(f"{service.url}/v3/auth/projects").json()["projects"]
    assert [(project["id"], project["name"]) for project in projects] == [(service.project_id, "cn-north-4")]
    domains = client.get(f"{service.url}/v3/auth/domains").json()["domains"]
    assert [domain["name"] for domain in domains] == ["default"]


def test_a_wrong_password_is_said_as_keystone_does(service: Running) -> None:
    auth = v3.Password(
        auth_url=f"{service.url}/v3", username="admin", user_domain_name="default", password="wrong", unscoped=True
    )
    with pytest.raises(http.Unauthorized, match="The username or password is wrong"):
        session.Session(auth=auth).get_token()


def test_a_token_may_be_ended(service: Running) -> None:
    client, admin = signed_in(service), signed_in(service)
    token = client.get_token()
    assert admin.delete(f"{service.url}/v3/auth/tokens", headers={"X-Subject-Token": token}).status_code == 204
    with pytest.raises(http.Unauthorized):
        session.Session().get(f"{service.project_url}/schedule-task", headers={"X-Auth-Token": token})


def test_the_identity_api_is_found_in_the_catalogue(service: Running) -> None:
    client = signed_in(service, project_id=service.project_id)
    where = {"service_type": "identity", "interface": "public"}
    assert client.get_endpoint(**where, region_name="cn-north-4") == f"{service.url}/v3"
    shown = client.get("/projects", endpoint_filter=where).json()["projects"]
    assert [project["id"] for project in shown] == [service.project_id]
    with pytest.raises(catalog.EndpointNotFound):
        client.get_endpoint(**where, region_name="nowhere-1")


def test_a_token_is_exchanged_for_one_of_a_project(service: Running) -> None:
    first = signed_in(service, unscoped=True)
    auth = v3.Token(auth_url=f"{service.url}/v3", token=first.get_token(), project_id=service.project_id)
    client = session.Session(auth=auth)
    assert client.get(f"{service.project_url}/schedule-task").status_code == 200
    assert client.get_project_id() == service.project_id
