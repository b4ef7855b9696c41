"""Groups of users over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

GROUPS = "/v3/groups"


def said(answer: httpx.Response, status: int = 200) -> Any:  # noqa: ANN401  (any JSON)
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.fixture
def group(root: httpx.Client) -> Iterator[dict[str, Any]]:
    """A group for one test."""
    made: dict[str, Any] = said(root.post(GROUPS, json={"group": {"name": "ops", "description": "d"}}), 201)["group"]
    yield made
    root.delete(f"{GROUPS}/{made['id']}")


@pytest.fixture
def user_id(root: httpx.Client) -> Iterator[str]:
    """A user for one test."""
    made = said(root.post("/v3/users", json={"user": {"name": "member"}}), 201)["user"]
    yield made["id"]
    root.delete(f"/v3/users/{made['id']}")


def test_a_group_is_made_shown_changed_and_deleted(root: httpx.Client) -> None:
    made = said(root.post(GROUPS, json={"group": {"name": "night", "domain_id": "default"}}), 201)
    path = f"{GROUPS}/{made['group']['id']}"
    assert said(root.get(path)) == made
    assert said(root.get(GROUPS, params={"name": "night"}))["groups"] == [made["group"]]
    changed = said(root.patch(path, json={"group": {"name": "day", "description": "new"}}))["group"]
    assert (changed["name"], changed["description"]) == ("day", "new")
    assert said(root.patch(path, json={"group": {}}))["group"] == changed
    assert root.delete(path).status_code == 204
    for answer in (root.get(path), root.delete(path), root.patch(path, json={"group": {}})):
        assert made["group"]["id"] in said(answer, 404)["error"]["message"]


def test_members_come_and_go(root: httpx.Client, group: dict[str, Any], user_id: str) -> None:
    members = f"{GROUPS}/{group['id']}/users"
    assert root.head(f"{members}/{user_id}").status_code == 404
    for _ in range(2):
        assert root.put(f"{members}/{user_id}").status_code == 204
    assert root.head(f"{members}/{user_id}").status_code == 204
    assert [user["id"] for user in said(root.get(members))["users"]] == [user_id]
    assert said(root.get(f"/v3/users/{user_id}/groups"))["groups"] == [group]
    assert root.delete(f"{members}/{user_id}").status_code == 204
    assert said(root.delete(f"{members}/{user_id}"), 404)
    assert said(root.get(members))["users"] == []


@pytest.mark.parametrize(
    ("body", "word"),
    [({}, "group"), ({"group": {}}, "name"), ({"group": {"name": "x", "domain_id": "other"}}, "domain_id")],
)
def test_a_group_that_cannot_be_meant_is_refused_by_name(root: httpx.Client, body: dict[str, Any], word: str) -> None:
    assert word in said(root.post(GROUPS, json=body), 400)["error"]["message"]


def test_a_name_is_one_groups(root: httpx.Client, group: dict[str, Any]) -> None:
    assert "ops" in said(root.post(GROUPS, json={"group": {"name": "ops"}}), 409)["error"]["message"]
