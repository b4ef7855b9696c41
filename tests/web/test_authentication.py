"""Who asks: tokens, signatures, and both at once, over HTTP."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import httpx
import pytest

from builders import NOW
from fleetcron.assembly.clock import now
from fleetcron.assembly.house import House
from fleetcron.control import tokens
from fleetcron.control.throttle import BAD_SIGNATURES_MAX
from fleetcron.domain.access import Account, AccountScope, Project, ProjectScope, Scope, User
from fleetcron.store import access
from fleetcron.wire.signature import Request, sign

TOKEN = "X-Auth-Token"
TASKS = "/schedule-task"


def refused(answer: httpx.Response, status: int, *words: str) -> str:
    assert answer.status_code == status, answer.text
    fault = answer.json()
    assert all(word in fault["error_msg"] for word in words), fault
    return str(fault["error_code"])


@pytest.fixture
def bearer(service: House) -> Callable[..., dict[str, str]]:
    """Gives the header of a token that the administrator got ``age`` ago."""

    def bearer(scope: Scope | None = None, age: timedelta = timedelta()) -> dict[str, str]:
        with service.database.transaction() as tx:
            account = access.find_account(tx, "default")
            assert account is not None
            (user,) = access.list_users(tx, "default", name="admin")
            return {TOKEN: tokens.issue(tx, user, account, scope, now() - age)[0]}

    return bearer


@pytest.fixture(scope="session")
def foreigner(service: House) -> dict[str, str]:
    """The header of a token of another account's administrator."""
    account = Account(account_id="other", name="other", created_at=NOW)
    user = User(
        user_id="u-other", account_id="other", name="eve", description=None, password_hash="!", administrator=True,
        enabled=True, created_at=NOW,
    )  # fmt: skip
    with service.database.transaction() as tx:
        access.insert_account(tx, account)
        access.insert_project(tx, Project(project_id="p-other", account_id="other", name="north", created_at=NOW))
        access.insert_user(tx, user)
        return {TOKEN: tokens.issue(tx, user, account, None, now())[0]}


def signed(
    url: httpx.URL,
    *,
    method: str = "GET",
    body: bytes = b"",
    access_key: str = "AKADMIN",
    secret: str = "SKADMIN",  # noqa: S107  (no secret)
    age: timedelta = timedelta(),
) -> Mapping[str, str]:
    path, _, query = url.raw_path.partition(b"?")
    request = Request(method=method, path=path, query=query, headers=[(b"host", url.netloc)], body=body)
    return sign(request, access_key=access_key, secret=secret, now=now() - age)


def at(client: httpx.Client, path: str = TASKS) -> httpx.URL:
    return httpx.URL(str(client.base_url).rstrip("/") + path)


@pytest.fixture(autouse=True)
def key_in_good_standing(stranger: httpx.Client) -> None:
    """One good signature first: bad ones of an earlier test would lock the key that all of them share."""
    stranger.get(TASKS, headers=signed(at(stranger))).raise_for_status()


def test_without_credentials_nobody_is_let_in(stranger: httpx.Client) -> None:
    assert refused(stranger.get(TASKS), 401, "x-auth-token not found") == "APIGW.0301"


@pytest.mark.parametrize("token", ["wrong", "x" * 8000, secrets.token_urlsafe(48), "'", "null"])
def test_a_wrong_token_is_refused(stranger: httpx.Client, token: str) -> None:
    assert refused(stranger.get(TASKS, headers={TOKEN: token}), 401, "decrypt token fail") == "APIGW.0301"


@pytest.mark.parametrize("age", [timedelta(hours=24), timedelta(hours=25)])
def test_a_token_that_is_over_must_be_updated(
    stranger: httpx.Client, bearer: Callable[..., dict[str, str]], age: timedelta
) -> None:
    answer = stranger.get(TASKS, headers=bearer(age=age))
    assert refused(answer, 401, "The token must be updated.") == "APIGW.0307"


def test_a_token_is_good_for_its_day(stranger: httpx.Client, bearer: Callable[..., dict[str, str]]) -> None:
    assert stranger.get(TASKS, headers=bearer(age=timedelta(hours=23, minutes=59))).status_code == 200


def test_a_token_for_one_project_is_good_there_alone(
    stranger: httpx.Client, bearer: Callable[..., dict[str, str]], project_id: str
) -> None:
    assert stranger.get(TASKS, headers=bearer(ProjectScope(name="north"))).status_code == 200
    elsewhere = bearer(ProjectScope(name="south"))
    assert refused(stranger.get(TASKS, headers=elsewhere), 403, project_id) == "WKS.00081102"


def test_a_token_for_the_account_is_good_in_every_project(
    address: str, stranger: httpx.Client, bearer: Callable[..., dict[str, str]]
) -> None:
    headers = bearer(AccountScope())
    projects = stranger.get(f"{address}/v3/projects", headers=headers).json()["projects"]
    assert {project["name"] for project in projects} == {"north", "south"}
    for project in projects:
        assert stranger.get(f"{address}/v1/{project['id']}{TASKS}", headers=headers).status_code == 200


@pytest.mark.parametrize("project", ["no-such-project", "%25", "x" * 200])
def test_an_unknown_project_is_forbidden(root: httpx.Client, project: str) -> None:
    assert refused(root.get(f"/v1/{project}{TASKS}"), 403) == "WKS.00081102"


def test_a_project_with_the_character_that_no_id_has_is_refused(root: httpx.Client) -> None:
    assert refused(root.get(f"/v1/%00{TASKS}"), 400, "NUL")


def test_a_foreign_project_is_forbidden_like_an_unknown_one(root: httpx.Client, foreigner: dict[str, str]) -> None:
    theirs = root.get(f"/v1/p-other{TASKS}")
    unknown = root.get(f"/v1/p-nobodys{TASKS}")
    assert refused(theirs, 403) == refused(unknown, 403) == "WKS.00081102"
    assert theirs.json()["error_msg"].replace("p-other", "p-nobodys") == unknown.json()["error_msg"]
    assert root.get(f"/v1/p-other{TASKS}", headers=foreigner).status_code == 200


Deed = tuple[str, str, Any]

DEEDS: list[Deed] = [
    ("GET", "/schedule-task", None),
    ("GET", "/schedule-task/{task}", None),
    ("PATCH", "/schedule-task/{task}", {"is_enable": False}),
    ("DELETE", "/schedule-task/{task}", None),
    ("POST", "/schedule-task/actions/batch-delete", {"items": ["{task}"]}),
    ("GET", "/schedule-task/{task}/execute-history", None),
    ("GET", "/schedule-task/{task}-1/execute-detail", None),
    ("POST", "/schedule-task/{task}/execute-history/{task}-1/cancel", None),
    ("PATCH", "/app-servers/actions/batch-stop", {"items": ["s-01"]}),
    ("POST", "/app-servers/actions/batch-reinstall", {"server_ids": ["s-01"]}),
    ("GET", "/app-servers/s-01", None),
]


@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: " ".join(deed[:2]))
def test_another_accounts_things_can_neither_be_seen_nor_touched(
    web: httpx.Client, address: str, foreigner: dict[str, str], fired: Callable[[int], str], deed: Deed
) -> None:
    method, path, body = deed
    task_id = fired(1)
    path = path.replace("{task}", task_id)
    if isinstance(body, dict):
        body = {name: [task_id] if value == ["{task}"] else value for name, value in body.items()}
    before = web.get(f"/schedule-task/{task_id}").json()
    # Neither in the project where they are, nor by their ids in a project of one's own.
    assert refused(web.request(method, path, json=body, headers=foreigner), 403) == "WKS.00081102"
    own = web.request(method, f"{address}/v1/p-other{path}", json=body, headers=foreigner)
    assert own.status_code in {200, 404}
    assert task_id not in own.text or own.status_code == 404
    assert web.get(f"/schedule-task/{task_id}").json() == before
    listed = web.get("/schedule-task", params={"limit": 100}).json()["items"]
    assert [item["is_enable"] for item in listed if item["id"] == task_id] == [True]


def test_the_tasks_of_another_project_are_not_there(
    web: httpx.Client, root: httpx.Client, fired: Callable[[int], str]
) -> None:
    task_id = fired(1)
    south = root.get("/v3/projects", params={"name": "south"}).json()["projects"][0]["id"]
    for path in (task_id, f"{task_id}/execute-history", f"{task_id}-1/execute-detail"):
        assert refused(root.get(f"/v1/{south}/schedule-task/{path}"), 404) == "WKS.00211902"
    assert root.delete(f"/v1/{south}/schedule-task/{task_id}").status_code == 200
    assert web.get(f"/schedule-task/{task_id}").status_code == 200


def test_a_signature_lets_its_owner_in(stranger: httpx.Client) -> None:
    for path in (TASKS, f"{TASKS}?limit=5&offset=0", f"{TASKS}?task_name=%E5%A4%9C&limit=1"):
        url = at(stranger, path)
        assert stranger.get(url, headers=signed(url)).status_code == 200


def test_a_signed_body_is_taken(stranger: httpx.Client) -> None:
    url, body = at(stranger, f"{TASKS}/actions/batch-delete"), b'{"items": ["x"]}'
    headers = {**signed(url, method="POST", body=body), "Content-Type": "application/json"}
    assert stranger.post(url, content=body, headers=headers).status_code == 200


def test_another_body_than_the_signed_one_is_refused(stranger: httpx.Client) -> None:
    url = at(stranger, f"{TASKS}/actions/batch-delete")
    headers = {**signed(url, method="POST", body=b'{"items": ["x"]}'), "Content-Type": "application/json"}
    answer = stranger.post(url, content=b'{"items": ["y"]}', headers=headers)
    assert refused(answer, 401, "verify aksk signature fail") == "APIGW.0301"


def test_another_query_or_path_than_the_signed_one_is_refused(stranger: httpx.Client) -> None:
    headers = signed(at(stranger, f"{TASKS}?limit=5"))
    for path in (f"{TASKS}?limit=6", TASKS, f"{TASKS}?limit=5&offset=0", "/app-servers?limit=5"):
        assert refused(stranger.get(at(stranger, path), headers=headers), 401) == "APIGW.0301"


def test_a_wrong_secret_is_refused(stranger: httpx.Client) -> None:
    url = at(stranger)
    answer = stranger.get(url, headers=signed(url, secret="guessed"))
    assert refused(answer, 401, "verify aksk signature fail") == "APIGW.0301"
    assert "SKADMIN" not in answer.text


def test_an_unknown_access_key_is_refused(stranger: httpx.Client) -> None:
    url = at(stranger)
    answer = stranger.get(url, headers=signed(url, access_key="AKNOBODY"))
    assert refused(answer, 401, "AKNOBODY", "ak not exist") == "APIGW.0301"


@pytest.mark.parametrize("age", [timedelta(minutes=16), timedelta(minutes=-16)])
def test_a_signature_of_another_hour_is_refused_and_told_the_time(stranger: httpx.Client, age: timedelta) -> None:
    url = at(stranger)
    answer = stranger.get(url, headers=signed(url, age=age))
    assert refused(answer, 401, f"{now():%Y%m%dT%H}") == "APIGW.0301"


def test_a_good_signature_beside_a_bad_token_is_good(stranger: httpx.Client) -> None:
    url = at(stranger)
    assert stranger.get(url, headers={**signed(url), TOKEN: "wrong"}).status_code == 200


def test_a_bad_signature_beside_a_good_token_is_bad(web: httpx.Client) -> None:
    url = at(web)
    answer = web.get(url, headers=signed(url, secret="guessed"))
    assert refused(answer, 401, "verify aksk signature fail") == "APIGW.0301"


def test_an_authorization_of_another_scheme_leaves_it_to_the_token(web: httpx.Client, stranger: httpx.Client) -> None:
    other = {"Authorization": "Bearer something"}
    assert web.get(TASKS, headers=other).status_code == 200
    assert refused(stranger.get(TASKS, headers=other), 401) == "APIGW.0301"


def by_password(user: str, password: str, **scope: object) -> dict[str, object]:
    identity = {
        "methods": ["password"],
        "password": {"user": {"name": user, "password": password, "domain": {"name": "default"}}},
    }
    return {"auth": {"identity": identity, **({"scope": scope} if scope else {})}}


def test_a_password_gives_a_token_that_is_good(root: httpx.Client, stranger: httpx.Client, password: str) -> None:
    answer = root.post("/v3/auth/tokens", json=by_password("admin", password, project={"name": "north"}))
    assert answer.status_code == 201
    assert stranger.get(TASKS, headers={TOKEN: answer.headers["X-Subject-Token"]}).status_code == 200


@pytest.mark.parametrize(("user", "password"), [("admin", "wrong"), ("nobody", "wrong"), ("admin", "")])
def test_a_wrong_password_is_refused_as_keystone_does(root: httpx.Client, user: str, password: str) -> None:
    answer = root.post("/v3/auth/tokens", json=by_password(user, password))
    assert answer.status_code == 401
    assert answer.json()["error"] == {
        "code": 401,
        "message": "The username or password is wrong.",
        "title": "Unauthorized",
    }


def test_an_unknown_subject_token_is_not_found_as_the_vendor_says_it(root: httpx.Client) -> None:
    answer = root.get("/v3/auth/tokens", headers={"X-Subject-Token": "unknown"})
    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == "X-Subject-Token is invalid in the request"


def test_a_revoked_token_is_good_for_nothing(
    root: httpx.Client, stranger: httpx.Client, bearer: Callable[..., dict[str, str]]
) -> None:
    headers = bearer()
    assert stranger.get(TASKS, headers=headers).status_code == 200
    assert root.delete("/v3/auth/tokens", headers={"X-Subject-Token": headers[TOKEN]}).status_code == 204
    assert refused(stranger.get(TASKS, headers=headers), 401) == "APIGW.0301"


def test_a_disabled_users_token_and_key_are_good_for_nothing(root: httpx.Client, stranger: httpx.Client) -> None:
    user = root.post("/v3/users", json={"user": {"name": "bob", "password": "bobs password"}}).json()["user"]
    key = root.post("/v3.0/OS-CREDENTIAL/credentials", json={"credential": {"user_id": user["id"]}}).json()[
        "credential"
    ]
    token = root.post("/v3/auth/tokens", json=by_password("bob", "bobs password")).headers["X-Subject-Token"]
    url = at(stranger)

    def statuses() -> tuple[int, int]:
        by_key = stranger.get(url, headers=signed(url, access_key=key["access"], secret=key["secret"]))
        return stranger.get(url, headers={TOKEN: token}).status_code, by_key.status_code

    # Known, and let in as far as policies go, of which there is none.
    assert statuses() == (403, 403)
    assert root.patch(f"/v3/users/{user['id']}", json={"user": {"enabled": False}}).status_code == 200
    assert statuses() == (401, 401)
    assert root.delete(f"/v3/users/{user['id']}").status_code == 204
    assert statuses() == (401, 401)


def test_too_many_bad_signatures_lock_a_key_whatever_comes_then(own: tuple[House, httpx.Client]) -> None:
    _, client = own
    for _ in range(BAD_SIGNATURES_MAX + 1):
        refused(client.get(TASKS, headers=signed(at(client), secret="wrong")), 401, "verify aksk signature fail")
    refused(client.get(TASKS, headers=signed(at(client))), 401, "AK access failed to reach the limit,forbidden")


def test_a_credential_that_is_given_twice_is_nobodys(
    stranger: httpx.Client, bearer: Callable[..., dict[str, str]]
) -> None:
    token = bearer()[TOKEN]
    twice = [(TOKEN, token), (TOKEN, "another")]
    refused(stranger.get(TASKS, headers=twice), 400, "x-auth-token", "twice")
