"""Policies over HTTP: what they let somebody do, and to whom they are attached."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

POLICIES = "/v3.0/OS-ROLE/roles"
DOCUMENT = {"Version": "5.0", "Statement": [{"Effect": "Allow", "Action": ["workspace:scheduledTasks:list"]}]}
READ_ONLY = "Workspace ReadOnlyAccess"


def said(answer: httpx.Response, status: int = 200) -> Any:  # noqa: ANN401  (any JSON)
    assert answer.status_code == status, answer.text
    return answer.json()


def a_role(name: str = "own", **other: object) -> dict[str, Any]:
    return {"role": {"display_name": name, "type": "XA", "description": "d", "policy": DOCUMENT} | other}


@pytest.fixture
def policy(root: httpx.Client) -> Iterator[dict[str, Any]]:
    """A policy for one test."""
    made: dict[str, Any] = said(root.post(POLICIES, json=a_role()), 201)["role"]
    yield made
    root.delete(f"{POLICIES}/{made['id']}")


@pytest.fixture
def user_id(root: httpx.Client) -> Iterator[str]:
    """A user for one test."""
    made = said(root.post("/v3/users", json={"user": {"name": "eva", "password": "eva's own"}}), 201)["user"]
    yield made["id"]
    root.delete(f"/v3/users/{made['id']}")


@pytest.fixture
def eva(address: str, user_id: str) -> Iterator[httpx.Client]:
    """A client as the user, who is no administrator."""
    user = {"name": "eva", "password": "eva's own", "domain": {"name": "default"}}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}
    token = httpx.post(f"{address}/v3/auth/tokens", json=body).headers["X-Subject-Token"]
    with httpx.Client(base_url=address, headers={"X-Auth-Token": token}) as client:
        yield client


def test_a_policy_is_made_shown_changed_and_deleted(root: httpx.Client) -> None:
    made = said(root.post(POLICIES, json=a_role("mine", type="AX")), 201)["role"]
    path = f"{POLICIES}/{made['id']}"
    assert (made["display_name"], made["type"], made["policy"], made["domain_id"]) == (
        "mine",
        "AX",
        DOCUMENT,
        "default",
    )
    assert said(root.get(path))["role"] == {**made, "references": 0}
    assert said(root.get(f"/v3/roles/{made['id']}"))["role"] == made
    document = {**DOCUMENT, "Version": "1.1"}
    change = {"role": {"policy": document, "type": "XA", "display_name": "other", "description": ""}}
    changed = said(root.patch(path, json=change))["role"]
    assert {**changed, "updated_time": ""} == {
        **made, "updated_time": "", "policy": document, "type": "XA",
        "name": "other", "display_name": "other", "description": "",
    }  # fmt: skip
    assert said(root.patch(path, json={"role": {}}))["role"]["policy"] == document
    assert said(root.delete(path)) == {"message": "Delete success"}
    for answer in (root.get(path), root.delete(path), root.patch(path, json={"role": {}})):
        said(answer, 404)


def test_all_that_can_be_attached_is_listed(root: httpx.Client, policy: dict[str, Any]) -> None:
    roles = said(root.get("/v3/roles"))["roles"]
    assert {READ_ONLY, "own"} <= {role["display_name"] for role in roles}
    assert said(root.get("/v3/roles", params={"display_name": "own"}))["roles"] == [policy]
    assert said(root.get("/v3/roles", params={"name": READ_ONLY}))["roles"][0]["id"] == READ_ONLY
    assert policy in said(root.get("/v3/roles", params={"domain_id": "default"}))["roles"]
    assert said(root.get("/v3/roles", params={"domain_id": "other"}))["roles"] == []
    page = said(root.get("/v3/roles", params={"page": 2, "per_page": 1}))
    assert (page["roles"], page["total_number"]) == (roles[1:2], len(roles))
    assert said(root.get(POLICIES, params={"page": 1, "per_page": 300}))["roles"] == [policy]
    assert said(root.get(f"/v3/roles/{READ_ONLY}"))["role"]["flag"] == "fine_grained"
    assert said(root.get(f"{POLICIES}/{READ_ONLY}"), 404)


def test_a_malformed_policy_is_refused_by_its_place(root: httpx.Client, policy: dict[str, Any]) -> None:
    document = {"Version": "5.0", "Statement": [{"Effect": "Allow", "Action": ["a:b:c"], "Resource": ["all"]}]}
    for answer in (
        root.post(POLICIES, json=a_role("broken", policy=document)),
        root.patch(f"{POLICIES}/{policy['id']}", json={"role": {"policy": document}}),
    ):
        assert "policy.Statement[0].Resource[0] must be" in said(answer, 400)["error"]["message"]
    twice = b'{"role":{"display_name":"x","type":"XA","policy":{"Version":"5.0","Version":"1.1","Statement":[]}}}'
    assert "Version once" in said(root.post(POLICIES, content=twice), 400)["error"]["message"]


def test_a_name_is_one_policys(root: httpx.Client, policy: dict[str, Any]) -> None:
    for name in ("own", READ_ONLY):
        assert name in said(root.post(POLICIES, json=a_role(name)), 409)["error"]["message"]


def test_a_user_may_what_its_policies_say_and_no_more(
    root: httpx.Client, eva: httpx.Client, policy: dict[str, Any], user_id: str, project_id: str
) -> None:
    tasks, servers = f"/v1/{project_id}/schedule-task", f"/v1/{project_id}/app-servers"
    attachment = f"/v3/domains/default/users/{user_id}/roles/{policy['id']}"
    assert "workspace:scheduledTasks:list" in said(eva.get(tasks), 403)["error_msg"]
    assert root.put(attachment).status_code == 204
    said(eva.get(tasks))
    assert eva.get(servers).status_code == 403
    assert eva.post(tasks, json={}).status_code in {400, 403}
    assert root.put(f"/v3/projects/{project_id}/users/{user_id}/roles/{READ_ONLY}").status_code == 204
    said(eva.get(servers))
    assert root.delete(attachment).status_code == 204
    said(eva.get(tasks))
    assert root.delete(f"/v3/projects/{project_id}/users/{user_id}/roles/{READ_ONLY}").status_code == 204
    assert eva.get(tasks).status_code == 403


@pytest.mark.parametrize("place", ["domains/default", "projects/{project_id}"])
@pytest.mark.parametrize("holder", ["users", "groups"])
def test_a_policy_is_attached_checked_listed_and_detached(
    root: httpx.Client, policy: dict[str, Any], user_id: str, project_id: str, *, place: str, holder: str
) -> None:
    group_id = said(root.post("/v3/groups", json={"group": {"name": "attached"}}), 201)["group"]["id"]
    key = {"users": user_id, "groups": group_id}[holder]
    path = f"/v3/{place.format(project_id=project_id)}/{holder}/{key}/roles"
    for policy_id in (policy["id"], READ_ONLY):
        one = f"{path}/{policy_id}"
        assert [root.head(one).status_code, root.put(one).status_code, root.head(one).status_code] == [404, 204, 204]
    listed = said(root.get(path))
    assert {role["id"] for role in listed["roles"]} == {policy["id"], READ_ONLY}
    assert listed["links"]["self"].endswith(path)
    assert "is attached 1 times" in said(root.delete(f"{POLICIES}/{policy['id']}"), 409)["error"]["message"]
    assert said(root.get(f"{POLICIES}/{policy['id']}"))["role"]["references"] == 1
    for policy_id in (policy["id"], READ_ONLY):
        assert [root.delete(f"{path}/{policy_id}").status_code for _ in range(2)] == [204, 404]
    assert said(root.get(path))["roles"] == []
    root.delete(f"/v3/groups/{group_id}")


def test_a_place_that_is_not_the_callers_is_forbidden(root: httpx.Client, user_id: str) -> None:
    for place in ("domains/other", f"projects/{'f' * 32}"):
        said(root.put(f"/v3/{place}/users/{user_id}/roles/{READ_ONLY}"), 403)
    assert root.put("/v3/domains/default/users/nobody/roles/x").status_code == 404
    assert root.put(f"/v3/domains/default/users/{user_id}/roles/nothing").status_code == 404


def test_who_is_no_administrator_sees_and_changes_no_policy(
    eva: httpx.Client, policy: dict[str, Any], user_id: str
) -> None:
    attachments = f"/v3/domains/default/users/{user_id}/roles"
    for answer in (
        eva.get("/v3/roles"),
        eva.get(f"/v3/roles/{READ_ONLY}"),
        eva.get(POLICIES),
        eva.get(f"{POLICIES}/{policy['id']}"),
        eva.post(POLICIES, json=a_role("hers")),
        eva.patch(f"{POLICIES}/{policy['id']}", json={"role": {}}),
        eva.delete(f"{POLICIES}/{policy['id']}"),
        eva.get(attachments),
        eva.put(f"{attachments}/{READ_ONLY}"),
        eva.delete(f"{attachments}/{READ_ONLY}"),
        eva.get("/v3/groups"),
        eva.post("/v3/groups", json={"group": {"name": "hers"}}),
    ):
        assert "eva" in said(answer, 403)["error"]["message"]
    assert said(eva.get(f"/v3/users/{user_id}/groups"))["groups"] == []
