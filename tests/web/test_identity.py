"""The identity API over HTTP: versions, tokens, projects, users and access keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

USERS = "/v3/users"
KEYS = "/v3.0/OS-CREDENTIAL/credentials"
TOKENS = "/v3/auth/tokens"


def refused(answer: httpx.Response, status: int) -> str:
    """The message of a fault in Keystone's shape."""
    assert answer.status_code == status, answer.text
    fault = answer.json()["error"]
    assert set(fault) == {"code", "message", "title"}
    assert fault["code"] == status
    return str(fault["message"])


def said(answer: httpx.Response, status: int = 200) -> Any:  # noqa: ANN401  (any JSON)
    assert answer.status_code == status, answer.text
    return answer.json()


def gone(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.fixture
def user(root: httpx.Client) -> Iterator[dict[str, Any]]:
    """A user with a password, for one test."""
    body = {"user": {"name": "ada", "password": "ada's own", "description": "of tests"}}
    made: dict[str, Any] = said(root.post(USERS, json=body), 201)["user"]
    yield made
    root.delete(f"{USERS}/{made['id']}")


@pytest.fixture
def ada(root: httpx.Client, address: str, user: dict[str, Any]) -> Iterator[httpx.Client]:
    """A client as the user, who is no administrator."""
    answer = root.post(TOKENS, json=by_password("ada", "ada's own"))
    with httpx.Client(base_url=address, headers={"X-Auth-Token": answer.headers["X-Subject-Token"]}) as client:
        yield client


def by_password(name: str, password: str, **scope: object) -> dict[str, Any]:
    user = {"name": name, "password": password, "domain": {"name": "default"}}
    identity = {"methods": ["password"], "password": {"user": user}}
    return {"auth": {"identity": identity, **({"scope": scope} if scope else {})}}


@pytest.mark.parametrize("host", ["fleet.example:8774", "[::1]:80"])
def test_the_version_is_found_under_the_name_by_which_it_was_asked(
    stranger: httpx.Client, address: str, host: str
) -> None:
    version = said(stranger.get(f"{address}/v3", headers={"Host": host}))["version"]
    assert version["status"] == "stable"
    assert version["links"][0]["href"].rstrip("/") == f"http://{host}/v3"
    assert said(stranger.get(f"{address}/", headers={"Host": host}))["versions"]["values"] == [version]


@pytest.mark.parametrize(
    ("scope", "kind", "name"),
    [
        ({"project": {"name": "north"}}, "project", "north"),
        ({"project": {"name": "south", "domain": {"id": "default"}}}, "project", "south"),
        ({"domain": {"name": "default"}}, "domain", "default"),
        ({}, "domain", "default"),
    ],
)
def test_a_token_says_what_it_is_for(
    root: httpx.Client, password: str, scope: dict[str, Any], kind: str, name: str
) -> None:
    answer = root.post(TOKENS, json=by_password("admin", password, **scope))
    token = said(answer, 201)["token"]
    assert {"project", "domain"} & token.keys() == {kind}
    assert token[kind]["name"] == name
    assert token["user"]["name"] == "admin"
    assert token["issued_at"] < token["expires_at"]
    plain = answer.headers["X-Subject-Token"]
    checked = root.get(TOKENS, headers={"X-Subject-Token": plain})
    assert said(checked)["token"] == token
    assert checked.headers["X-Subject-Token"] == plain


@pytest.mark.parametrize(
    "scope", [{"project": {"name": "west"}}, {"project": {"id": "x"}}, {"domain": {"name": "other-one"}}]
)
def test_a_scope_that_is_not_the_users_is_refused(root: httpx.Client, password: str, scope: dict[str, Any]) -> None:
    assert refused(root.post(TOKENS, json=by_password("admin", password, **scope)), 401)


@pytest.mark.parametrize(
    "scope", [{"project": {}}, {"project": {"name": ""}}, {"project": {"id": "x"}, "domain": {"id": "y"}}]
)
def test_a_scope_that_cannot_be_meant_is_invalid(root: httpx.Client, password: str, scope: dict[str, Any]) -> None:
    message = refused(root.post(TOKENS, json=by_password("admin", password, **scope)), 400)
    assert message.startswith("The request body is invalid: auth.scope")


def test_a_password_too_long_to_be_one_is_not_even_hashed(root: httpx.Client) -> None:
    assert "password" in refused(root.post(TOKENS, json=by_password("admin", "x" * 129)), 400)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_the_token_that_is_asked_about_must_be_said(root: httpx.Client, method: str) -> None:
    assert "X-Subject-Token" in refused(root.request(method, TOKENS), 400)


def test_projects_and_domains_are_the_callers_own(root: httpx.Client, ada: httpx.Client) -> None:
    for client in (root, ada):
        names = {project["name"] for project in said(client.get("/v3/auth/projects"))["projects"]}
        assert names == {"north", "south"}
        assert [domain["id"] for domain in said(client.get("/v3/auth/domains"))["domains"]] == ["default"]
    (south,) = said(root.get("/v3/projects", params={"name": "south"}))["projects"]
    assert south["domain_id"] == "default"
    assert said(root.get("/v3/projects", params={"name": "nowhere"}))["projects"] == []


def test_a_user_is_made_shown_changed_and_deleted(root: httpx.Client) -> None:
    made = said(root.post(USERS, json={"user": {"name": "grace", "description": "d", "domain_id": "default"}}), 201)
    path = f"{USERS}/{made['user']['id']}"
    assert said(root.get(path)) == made
    assert said(root.get(USERS, params={"name": "grace"}))["users"] == [made["user"]]
    changed = said(root.patch(path, json={"user": {"description": "", "enabled": False}}))["user"]
    assert (changed["description"], changed["enabled"]) == ("", False)
    gone(root.delete(path))
    for answer in (root.get(path), root.delete(path), root.patch(path, json={"user": {}})):
        assert made["user"]["id"] in refused(answer, 404)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({}, "user"),
        ({"user": {}}, "name"),
        ({"user": {"name": ""}}, "name"),
        ({"user": {"name": "9lives"}}, "name"),
        ({"user": {"name": "a\n"}}, "name"),
        ({"user": {"name": "x" * 65}}, "name"),
        ({"user": {"name": "short", "password": "1234567"}}, "password"),
        ({"user": {"name": "long", "password": "x" * 129}}, "password"),
        ({"user": {"name": "foreign", "domain_id": "other"}}, "domain_id"),
        ({"user": {"name": "maybe", "enabled": "yes"}}, "enabled"),
    ],
)
def test_a_user_that_cannot_be_meant_is_refused_by_name(root: httpx.Client, body: dict[str, Any], word: str) -> None:
    assert word in refused(root.post(USERS, json=body), 400)


def test_a_name_is_one_users_and_stays(root: httpx.Client, user: dict[str, Any]) -> None:
    assert "ada" in refused(root.post(USERS, json={"user": {"name": "ada"}}), 409)
    refused(root.patch(f"{USERS}/{user['id']}", json={"user": {"name": "eve"}}), 400)


def test_the_last_administrator_stays(root: httpx.Client) -> None:
    (admin,) = said(root.get(USERS, params={"name": "admin"}))["users"]
    refused(root.delete(f"{USERS}/{admin['id']}"), 409)
    refused(root.patch(f"{USERS}/{admin['id']}", json={"user": {"enabled": False}}), 409)
    assert said(root.get(f"{USERS}/{admin['id']}"))["user"]["enabled"] is True


ADMINISTRATION: dict[str, Callable[[httpx.Client, str], httpx.Response]] = {
    "create": lambda client, _: client.post(USERS, json={"user": {"name": "evil"}}),
    "list": lambda client, _: client.get(USERS),
    "show another": lambda client, admin_id: client.get(f"{USERS}/{admin_id}"),
    "change another": lambda client, admin_id: client.patch(
        f"{USERS}/{admin_id}", json={"user": {"password": "taken over"}}
    ),
    "delete another": lambda client, admin_id: client.delete(f"{USERS}/{admin_id}"),
    "make another's key": lambda client, admin_id: client.post(KEYS, json={"credential": {"user_id": admin_id}}),
    "list another's keys": lambda client, admin_id: client.get(KEYS, params={"user_id": admin_id}),
    "show another's key": lambda client, _: client.get(f"{KEYS}/AKADMIN"),
    "delete another's key": lambda client, _: client.delete(f"{KEYS}/AKADMIN"),
}


@pytest.mark.parametrize("deed", ADMINISTRATION)
def test_who_is_no_administrator_manages_nobody(root: httpx.Client, ada: httpx.Client, deed: str) -> None:
    (admin,) = said(root.get(USERS, params={"name": "admin"}))["users"]
    assert "ada" in refused(ADMINISTRATION[deed](ada, admin["id"]), 403)
    assert [key["access"] for key in said(root.get(KEYS))["credentials"]] == ["AKADMIN"]


def test_users_see_to_themselves_and_their_own_keys(ada: httpx.Client, user: dict[str, Any]) -> None:
    assert said(ada.get(f"{USERS}/{user['id']}"))["user"]["name"] == "ada"
    made = said(ada.post(KEYS, json={"credential": {"description": "laptop"}}), 201)["credential"]
    assert made["user_id"] == user["id"]
    shown = said(ada.get(f"{KEYS}/{made['access']}"))["credential"]
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    assert said(ada.get(KEYS))["credentials"] == [shown]
    gone(ada.delete(f"{KEYS}/{made['access']}"))


def test_a_key_that_is_taken_back_takes_its_users_tokens_along(root: httpx.Client, ada: httpx.Client) -> None:
    made = said(ada.post(KEYS, json={"credential": {}}), 201)["credential"]
    gone(root.delete(f"{KEYS}/{made['access']}"))
    refused(ada.get(KEYS), 401)
    refused(root.get(f"{KEYS}/{made['access']}"), 404)


def test_a_user_has_two_keys_at_most(root: httpx.Client, user: dict[str, Any]) -> None:
    body = {"credential": {"user_id": user["id"]}}
    assert [root.post(KEYS, json=body).status_code for _ in range(3)] == [201, 201, 409]


def test_a_new_password_ends_the_tokens_of_the_old_one(
    root: httpx.Client, ada: httpx.Client, user: dict[str, Any]
) -> None:
    said(ada.get("/v3/auth/projects"))
    said(root.patch(f"{USERS}/{user['id']}", json={"user": {"password": "another one"}}))
    refused(ada.get("/v3/auth/projects"), 401)
    refused(root.post(TOKENS, json=by_password("ada", "ada's own")), 401)
    said(root.post(TOKENS, json=by_password("ada", "another one")), 201)


def test_a_token_carries_where_the_identity_api_is(root: httpx.Client, password: str, address: str) -> None:
    body = by_password("admin", password, project={"name": "south"})
    (service,) = said(root.post(TOKENS, json=body), 201)["token"]["catalog"]
    assert service["type"] == "identity"
    assert [(one["region"], one["url"]) for one in service["endpoints"]] == [("south", f"{address}/v3")]
    assert said(root.post(TOKENS, params={"nocatalog": ""}, json=body), 201)["token"]["catalog"] == []


def by_token(token: str, **scope: object) -> dict[str, Any]:
    identity = {"methods": ["token"], "token": {"id": token}}
    return {"auth": {"identity": identity, **({"scope": scope} if scope else {})}}


def test_a_token_is_exchanged_for_one_of_another_scope(root: httpx.Client, password: str) -> None:
    first = root.post(TOKENS, json=by_password("admin", password))
    second = root.post(TOKENS, json=by_token(first.headers["X-Subject-Token"], project={"name": "south"}))
    token = said(second, 201)["token"]
    assert (token["project"]["name"], token["expires_at"]) == ("south", first.json()["token"]["expires_at"])
    subject = {"X-Subject-Token": second.headers["X-Subject-Token"]}
    assert said(root.get(TOKENS, headers=subject))["token"]["project"] == token["project"]
    refused(root.post(TOKENS, json=by_token("guessed")), 401)
    refused(root.post(TOKENS, json=by_token(first.headers["X-Subject-Token"], project={"name": "west"})), 401)


def test_projects_and_domains_are_shown_one_by_one(
    root: httpx.Client, ada: httpx.Client, user: dict[str, Any], project_id: str
) -> None:
    for client in (root, ada):
        assert said(client.get(f"/v3/projects/{project_id}"))["project"]["name"] == "north"
        assert len(said(client.get(f"/v3/users/{user['id']}/projects"))["projects"]) == 2
        assert [one["id"] for one in said(client.get("/v3/domains"))["domains"]] == ["default"]
        assert said(client.get("/v3/domains", params={"name": "other"}))["domains"] == []
        assert said(client.get("/v3/domains/default"))["domain"]["name"] == "default"
        for path in ("/v3/projects/nowhere", "/v3/domains/other"):
            refused(client.get(path), 404)
    (admin,) = said(root.get(USERS, params={"name": "admin"}))["users"]
    refused(ada.get(f"/v3/users/{admin['id']}/projects"), 403)


TEMPORARY = "/v3.0/OS-CREDENTIAL/securitytokens"


def a_temporary(**token: object) -> dict[str, Any]:
    return {"auth": {"identity": {"methods": ["token"], "token": token}}}


def test_a_temporary_key_is_given_to_its_user(root: httpx.Client, ada: httpx.Client) -> None:
    own = ada.headers["X-Auth-Token"]
    for body in (a_temporary(), a_temporary(duration_seconds=86400), a_temporary(id=own)):
        made = said(ada.post(TEMPORARY, json=body), 201)["credential"]
        assert set(made) == {"access", "secret", "securitytoken", "expires_at"}
        assert made["access"] not in {key["access"] for key in said(ada.get(KEYS))["credentials"]}
    refused(root.get(f"{KEYS}/nothing"), 404)
    assert "auth.identity.token.id" in refused(root.post(TEMPORARY, json=a_temporary(id=own)), 400)
    refused(ada.post(TEMPORARY, json=a_temporary(id="guessed")), 401)
    assert "duration_seconds" in refused(ada.post(TEMPORARY, json=a_temporary(duration_seconds=1)), 400)
