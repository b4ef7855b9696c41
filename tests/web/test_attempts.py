"""What was tried to get in, or to get further than one may; docs/security.md lists it with what was tried elsewhere."""

from __future__ import annotations

import json
import socket
import statistics
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from builders import NOW, Clock, eventually
from fleetcron.assembly.clock import now
from fleetcron.control import tokens
from fleetcron.control.access import Access
from fleetcron.control.throttle import BAD_SIGNATURES_MAX, FAILURES_WITHIN, LOCKED_FOR, USER_FAILURES_MAX
from fleetcron.domain.access import Account, Permission, Project, ProjectScope, User
from fleetcron.domain.audit import AuditFilter, AuditRecord, Outcome
from fleetcron.errors import Unauthenticated
from fleetcron.store import access
from fleetcron.wire.operation import Operation
from fleetcron.wire.operations import OPERATIONS
from premises import ACCOUNT, BODY, NORTH, PASSWORD, SECURITY, SUBJECT, TOKEN, Person, Premises, premises
from running import Running, running

TASKS = f"/v1/{NORTH}/schedule-task"
BATCH_DELETE = f"{TASKS}/actions/batch-delete"
CREDENTIALS = "/v3.0/OS-CREDENTIAL/credentials"
FULL_ACCESS = "Workspace FullAccess"
JSON = {"Content-Type": "application/json"}
QUIET_SECONDS = 1.0
HEAD_BYTES_MAX = 4 * 1024 * 1024


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Premises]:
    with premises(tmp_path_factory.mktemp("attempts"), Clock(now())) as place:
        yield place


@pytest.fixture(scope="module")
def mallory(place: Premises) -> Person:
    """Somebody who may do everything with tasks and servers, and nothing about people."""
    return place.person("mallory", FULL_ACCESS)


@pytest.fixture
def hers(place: Premises, mallory: Person) -> dict[str, str]:
    return {TOKEN: place.token("mallory")}


@pytest.fixture
def victim(place: Premises) -> Iterator[Person]:
    """Somebody whom others want to harm."""
    victim = place.person("victim", FULL_ACCESS)
    yield victim
    place.as_root("DELETE", f"/v3/users/{victim.user_id}")


def said(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    fault = answer.json()
    return str(fault["error_msg"] if "error_msg" in fault else fault["error"]["message"])


def people(place: Premises) -> dict[str, list[tuple[Any, ...]]]:
    """All about who may come in and do what, but for tokens."""
    tables = ("accounts", "projects", "users", "access_keys", "user_groups", "memberships", "policies", "attachments")
    with place.house.database.snapshot() as tx:
        return {
            table: [tuple(row) for row in tx.execute(f"SELECT * FROM {table} ORDER BY 1, 2")]  # noqa: S608
            for table in tables
        }


def talk(place: Premises, request: bytes) -> list[int]:
    """Send bytes as they are, and return the statuses of all answers, until the connection is closed or goes quiet."""
    parts, answer = urlsplit(place.url), b""
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=QUIET_SECONDS) as connection:
        connection.sendall(request)
        with suppress(TimeoutError):
            while part := connection.recv(65_536):
                answer += part
    return [int(part.split(b" ", 2)[1]) for part in answer.split(b"HTTP/1.1")[1:]]


# Smuggled headers and requests.

HIDDEN = b"DELETE /v1/NORTH/schedule-task/TASK HTTP/1.1\r\nHost: x\r\nX-Auth-Token: TOKEN\r\n\r\n"
LIST = b"GET /v1/NORTH/schedule-task HTTP/1.1\r\nHost: x\r\nX-Auth-Token: TOKEN\r\n"
POST = b"POST /v1/NORTH/schedule-task/actions/batch-delete HTTP/1.1\r\nHost: x\r\nX-Auth-Token: TOKEN\r\n"


@pytest.mark.parametrize(
    "head",
    [
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        POST + b"Content-Length: 0\r\nContent-Length: LENGTH\r\n\r\n",
        POST + b"Content-Length: 0, LENGTH\r\n\r\n",
        POST + b"Content-Length: +LENGTH\r\n\r\n",
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"Transfer-Encoding: xchunked\r\n\r\n",
        POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        POST + b"Content-Length : LENGTH\r\n\r\n",
        POST + b" Content-Length: LENGTH\r\n\r\n",
        LIST + b"X-Folded: a\r\n b\r\nContent-Length : LENGTH\r\n\r\n",
    ],
)
def test_a_request_whose_length_is_in_doubt_hides_no_other(place: Premises, head: bytes) -> None:
    task_id = place.task()
    hidden = filled(place, HIDDEN, task_id)
    request = filled(place, head, task_id).replace(b"LENGTH", str(len(hidden)).encode()) + hidden
    assert talk(place, request) == [400]
    assert place.client.get(f"{TASKS}/{task_id}", headers=place.root).status_code == 200


def test_the_body_of_a_reading_is_no_request(place: Premises) -> None:
    task_id = place.task()
    hidden = filled(place, HIDDEN, task_id)
    list_it = filled(place, LIST, task_id)
    request = list_it + b"Content-Length: %d\r\n\r\n" % len(hidden) + hidden + list_it + b"Connection: close\r\n\r\n"
    assert talk(place, request) == [200, 200]
    assert place.client.get(f"{TASKS}/{task_id}", headers=place.root).status_code == 200


def filled(place: Premises, request: bytes, task_id: str) -> bytes:
    for name, text in (("NORTH", NORTH), ("TOKEN", place.root[TOKEN]), ("TASK", task_id)):
        request = request.replace(name.encode(), text.encode())
    return request


@pytest.mark.parametrize("name", ["Authorization", "Host", TOKEN, SECURITY, SUBJECT])
@pytest.mark.parametrize("path", [TASKS, "/v3/auth/tokens"])
def test_a_header_that_says_who_asks_comes_once(place: Premises, name: str, path: str) -> None:
    twice = [(name, "one"), (name.upper(), "other")]
    lines = "".join(f"{one}: {value}\r\n" for one, value in (*place.root.items(), *twice))
    host = "" if name == "Host" else "Host: x\r\n"
    assert talk(place, f"GET {path} HTTP/1.1\r\n{host}{lines}Connection: close\r\n\r\n".encode()) == [400]


@pytest.mark.parametrize(
    "headers",
    [
        {"X_Auth_Token": "TOKEN"},
        {"X-Auth-Token-": "TOKEN"},
        {"Authorization": "TOKEN"},
        {"Authorization": "Bearer TOKEN"},
        {"Cookie": "X-Auth-Token=TOKEN"},
        {SUBJECT: "TOKEN"},
        {"X-Service-Token": "TOKEN"},
        {TOKEN: "TOKEN, TOKEN"},
        {TOKEN: '"TOKEN"'},
        {"X-User-Id": "admin", "X-Roles": "admin", "X-Identity-Status": "Confirmed", "X-Is-Admin-Project": "True"},
    ],
    ids=lambda headers: next(iter(headers)),
)
def test_a_token_counts_in_its_own_header_alone(place: Premises, headers: dict[str, str]) -> None:
    sent = {name: value.replace("TOKEN", place.root[TOKEN]) for name, value in headers.items()}
    assert "Incorrect IAM authentication information" in said(place.client.get(TASKS, headers=sent), 401)


@pytest.mark.parametrize("name", ["X-Auth-Token", "x-auth-token", "auth_token", "token", "access_token"])
def test_a_token_in_the_query_is_not_looked_at(place: Premises, name: str) -> None:
    assert "x-auth-token not found" in said(place.client.get(TASKS, params={name: place.root[TOKEN]}), 401)


# Paths.


@pytest.mark.parametrize(
    "target",
    [
        "/v1/NORTH/schedule-task/../../../v3/users",
        "/v1/NORTH/schedule-task/%2e%2e/%2e%2e/%2e%2e/v3/users",
        "/v1/NORTH/..;/..;/v3/users",
        "//v3/users",
        "/v3//users",
        "/./v3/users",
        "/v3/users/",
        "/v3/users;x=1",
        "/V3/USERS",
        "/v3/%75sers%00",
        "/v3%2Fusers",
        "/v3%5Cusers",
        "\\v3\\users",
        "/v3/users%20",
        "/v3/users%23",
        "http://elsewhere/v3/users/../users/",
    ],
)
def test_no_spelling_of_a_path_leads_round_its_permission(place: Premises, hers: dict[str, str], target: str) -> None:
    request = f"GET {target} HTTP/1.1\r\nHost: x\r\n{TOKEN}: {hers[TOKEN]}\r\nConnection: close\r\n\r\n"
    (status,) = talk(place, request.replace("NORTH", NORTH).encode())
    assert status in {400, 403, 404}


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "OPTIONS", "PUT", "get", "PROPFIND"])
def test_no_other_method_does_anything(place: Premises, method: str) -> None:
    request = f"{method} {TASKS} HTTP/1.1\r\nHost: x\r\n{TOKEN}: {place.root[TOKEN]}\r\nConnection: close\r\n\r\n"
    (status,) = talk(place, request.encode())
    assert status in {400, 405}


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "_method"])
def test_a_method_is_not_overridden(place: Premises, name: str) -> None:
    task_id = place.task()
    answer = place.client.get(f"{TASKS}/{task_id}?_method=DELETE", headers={**place.root, name: "DELETE"})
    assert answer.status_code == 200
    assert place.client.get(f"{TASKS}/{task_id}", headers=place.root).status_code == 200


# Signatures.


def test_a_signed_request_can_be_sent_again_for_a_quarter_of_an_hour_and_then_no_more(place: Premises) -> None:
    # This the scheme does not prevent: there is no nonce in it. It is the same request, to the last bit, and no other.
    headers = place.signed("GET", TASKS)
    for minutes in (0, 14):
        place.clock.advance(60 * minutes)
        assert place.client.get(TASKS, headers=headers).status_code == 200
    place.clock.advance(60)
    assert "server time" in said(place.client.get(TASKS, headers=headers), 401)


def test_a_deletion_that_is_sent_again_deletes_nothing_else(place: Premises) -> None:
    first, second = place.task(), place.task()
    body = json.dumps({"items": [first]}).encode()
    headers = JSON | place.signed("POST", BATCH_DELETE, body)
    for _ in range(2):
        assert place.client.post(BATCH_DELETE, content=body, headers=headers).status_code == 200
    assert place.client.get(f"{TASKS}/{second}", headers=place.root).status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "\xa0application/json", "\x85application/json", "application/JSON"])
def test_no_body_that_is_read_as_json_goes_unsigned(place: Premises, kind: str) -> None:
    task_id = place.task()
    unsigned = {"Content-Type": kind, "X-Sdk-Content-Sha256": "UNSIGNED-PAYLOAD"}
    headers = place.signed("POST", BATCH_DELETE, b"whatever", headers=unsigned)
    body = json.dumps({"items": [task_id]}).encode()
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    answer = place.client.post(BATCH_DELETE, content=body, headers=raw)
    assert answer.status_code in {400, 401, 415}
    assert place.client.get(f"{TASKS}/{task_id}", headers=place.root).status_code == 200


# Bodies.


@pytest.mark.parametrize(
    "body",
    [
        b'{"role":{"display_name":"deep","type":"XA","policy":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
        b'{"role":{"display_name":"deep","type":"XA","policy":' + b'{"Statement":' * 50_000 + b"1" + b"}" * 50_000
        + b"}}",
        b'{"role":{"display_name":"deep","type":"XA","policy":{"Version":"5.0","Statement":[{"Effect":"Allow",'
        b'"Action":["workspace:*:*"],"Condition":' + b'{"StringEquals":' * 900 + b"1" + b"}" * 900 + b"}]}}}",
    ],
    ids=["arrays", "objects", "conditions"],
)  # fmt: skip
def test_a_policy_that_is_very_deep_is_refused(place: Premises, body: bytes) -> None:
    answer = place.client.post("/v3.0/OS-ROLE/roles", content=body, headers=place.root | JSON)
    assert said(answer, 400)


def test_a_compressed_body_is_not_unpacked(place: Premises) -> None:
    headers = place.root | JSON | {"Content-Encoding": "gzip"}
    assert said(place.client.post(TASKS, content=b"\x1f\x8b" + b"\0" * 100, headers=headers), 400)


@pytest.mark.parametrize("field", ["administrator", "is_admin", "roles", "id", "user_id", "account_id", "policies"])
def test_no_field_beside_those_that_are_known_makes_an_administrator(place: Premises, field: str) -> None:
    name = f"with-{field}"
    user = {"name": name, "password": PASSWORD, field: "admin" if field.endswith("id") else True}
    answer = place.client.post("/v3/users", json={"user": user}, headers=place.root)
    assert answer.status_code in {201, 400}, answer.text
    if answer.status_code == 201:
        theirs = {TOKEN: place.token(name)}
        assert place.client.get("/v3/users", headers=theirs).status_code == 403
        changed = place.client.patch(
            f"/v3/users/{answer.json()['user']['id']}", json={"user": {field: True}}, headers=theirs
        )
        assert changed.status_code in {400, 403}


# Filters and ids that are a language elsewhere.

QUOTES = [
    "' OR '1'='1",
    "'; DROP TABLE tasks; --",
    '" OR ""="',
    "%",
    "_",
    "%%%",
    "\\",
    "x' UNION SELECT * FROM users --",
]


@pytest.mark.parametrize("text", QUOTES)
def test_what_is_sent_is_never_read_as_sql(place: Premises, text: str) -> None:
    task_id = place.task()
    before, who = place.rows(), people(place)
    for path, name in (
        (TASKS, "task_name"),
        (f"/v1/{NORTH}/app-servers", "server_name"),
        (f"/v1/{NORTH}/app-servers", "server_id"),
        (f"/v1/{NORTH}/app-servers", "server_group_id"),
        (f"/v1/{NORTH}/app-server-groups", "server_group_name"),
    ):
        answer = place.client.get(path, params={name: text}, headers=place.root)
        assert answer.json()["count"] == 0, (name, answer.text)
    for path in ("/v3/users", "/v3/groups", "/v3/projects", "/v3/domains"):
        answer = place.client.get(path, params={"name": text}, headers=place.root)
        assert next(iter(value for value in answer.json().values() if isinstance(value, list))) == []
    quoted = httpx.URL("http://x").copy_with(path=f"/{text}").raw_path.decode()
    for path in (f"{TASKS}{quoted}", f"{TASKS}{quoted}/execute-history", f"/v3/users{quoted}"):
        assert place.client.get(path, headers=place.root).status_code in {400, 404}
    place.client.post(BATCH_DELETE, json={"items": [text]}, headers=place.root).raise_for_status()
    assert (place.rows(), people(place)) == (before, who)
    assert place.client.get(f"{TASKS}/{task_id}", headers=place.root).status_code == 200


# Policies.


@pytest.fixture
def guarded(place: Premises) -> Iterator[tuple[str, dict[str, str]]]:
    """A task that one with full access to the others must not delete, and the headers of that one."""
    task_id = place.task()
    deny = place.policy(
        {"Effect": "Deny", "Action": ["workspace:SCHEDULEDTASKS:*delete"],
         "Resource": [f"workspace:*:*:scheduledTask:{task_id}"]}
    )  # fmt: skip
    person = place.person("guarded", FULL_ACCESS, deny)
    yield task_id, {TOKEN: place.token("guarded")}
    place.as_root("DELETE", f"/v3/users/{person.user_id}")


def test_a_denied_task_is_reached_by_no_other_spelling_and_in_no_company(
    place: Premises, guarded: tuple[str, dict[str, str]]
) -> None:
    task_id, headers = guarded
    other = place.task()
    for items in ([task_id], [other, task_id], [task_id, "*"]):
        assert "explicit deny" in said(place.client.post(BATCH_DELETE, json={"items": items}, headers=headers), 403)
    for spelling in (
        task_id.upper(),
        f" {task_id}",
        f"{task_id} ",
        f"{task_id}\0",
        f"{task_id}%",
        "*",
        "?",
        f"{task_id}/",
    ):
        place.client.post(BATCH_DELETE, json={"items": [spelling]}, headers=headers)
    for spelling in (task_id.upper(), f"%20{task_id}", f"{task_id}%20", f"{task_id}%00", f"{task_id}?", f"{task_id}#"):
        place.client.delete(f"{TASKS}/{spelling}", headers=headers)
    assert said(place.client.delete(f"{TASKS}/%{ord(task_id[0]):x}{task_id[1:]}", headers=headers), 403)
    for one in (task_id, other):
        assert place.client.get(f"{TASKS}/{one}", headers=place.root).status_code == 200


def test_a_wildcard_that_is_sent_is_a_letter(place: Premises) -> None:
    task_id = place.task()
    allow = place.policy(
        {"Effect": "Allow", "Action": ["workspace:scheduledTasks:*"],
         "Resource": [f"workspace:*:*:scheduledTask:{task_id}"]}
    )  # fmt: skip
    place.person("narrow", allow)
    headers = {TOKEN: place.token("narrow")}
    assert place.client.get(f"{TASKS}/{task_id}", headers=headers).status_code == 200
    before = place.rows()
    for spelling in ("*", "?", task_id[:-1] + "*", task_id[:-1] + "?", f"{task_id}:x", f"x:scheduledTask:{task_id}"):
        assert place.client.get(f"{TASKS}/{spelling}".replace("?", "%3F"), headers=headers).status_code == 403
        assert place.client.post(BATCH_DELETE, json={"items": [spelling]}, headers=headers).status_code == 403
    # A task may not be turned on servers that its owner may not name, nor may one be made.
    targets = {"target_infos": [{"target_type": "SERVER", "target_id": "s-2"}]}
    assert place.client.patch(f"{TASKS}/{task_id}", json=targets, headers=headers).status_code == 403
    assert place.client.post(TASKS, json=dict(BODY), headers=headers).status_code == 403
    assert place.rows() == before


def test_whether_a_thing_is_there_is_not_told_to_who_may_not_see_it(place: Premises) -> None:
    mine, theirs = place.task(), place.task()
    allow = place.policy(
        {"Effect": "Allow", "Action": ["workspace:*:*"], "Resource": [f"workspace:*:*:scheduledTask:{mine}"]}
    )
    place.person("curious", allow)
    headers = {TOKEN: place.token("curious")}
    assert place.client.get(f"{TASKS}/{mine}-1/execute-detail", headers=headers).status_code == 200
    unknown = theirs[:-1] + ("0" if theirs[-1] != "0" else "1")
    for path in ("{task}", "{task}/execute-history", "{task}-1/execute-detail"):
        there = said(place.client.get(f"{TASKS}/{path.format(task=theirs)}", headers=headers), 403)
        not_there = said(place.client.get(f"{TASKS}/{path.format(task=unknown)}", headers=headers), 403)
        assert there.replace(theirs, unknown) == not_there


def test_an_execution_is_not_cancelled_by_the_right_to_another_task_nor_by_the_right_to_look(place: Premises) -> None:
    mine, theirs = place.task(), place.task()
    change = {"Effect": "Allow", "Action": ["workspace:scheduledTasks:update"]}
    own = place.policy({**change, "Resource": [f"workspace:*:*:scheduledTask:{mine}"]})
    place.person("canceller", own, "Workspace ReadOnlyAccess")
    headers = {TOKEN: place.token("canceller")}
    before = place.rows()
    cancel = f"{TASKS}/{{}}/execute-history/{{}}-1/cancel"
    assert "scheduledTasks:update" in said(place.client.post(cancel.format(theirs, theirs), headers=headers), 403)
    # Nor by naming one's own task beside it.
    said(place.client.post(cancel.format(mine, theirs), headers=headers), 404)
    assert place.rows() == before
    assert place.client.post(cancel.format(mine, mine), headers=headers).status_code == 200


# Getting further than one may.


def probe(operation: Operation, mallory: Person) -> tuple[str, Any]:
    """A request of an operation about people that would give mallory more, were it allowed."""
    named = {"domain_id": ACCOUNT, "project_id": NORTH, "group_id": "g", "role_id": FULL_ACCESS, "user_id": "someone"}
    things = {"task_id": "t", "execute_history_id": "e", "server_id": "s-1", "server_group_id": "lab"}
    path = operation.path.format(access_key="AKADMIN", **named, **things)
    if operation.id == "ListPermanentAccessKeys":
        path += "?user_id=someone"
    document = {"Version": "5.0", "Statement": [{"Effect": "Allow", "Action": ["*:*:*"]}]}
    bodies = {
        "CreateUser": {"user": {"name": "accomplice", "password": PASSWORD}},
        "UpdateUser": {"user": {"password": PASSWORD, "enabled": True}},
        "CreateCredential": {"credential": {"user_id": "someone"}},
        "CreateGroup": {"group": {"name": "gang"}},
        "UpdateGroup": {"group": {"name": "gang"}},
        "CreatePolicy": {"role": {"display_name": "all", "type": "XA", "description": "d", "policy": document}},
        "UpdatePolicy": {"role": {"policy": document}},
    }
    return path, None if operation.body is None else bodies[operation.body.__name__]


@pytest.mark.parametrize(
    "operation", [one for one in OPERATIONS if one.permission is Permission.MANAGE_ACCESS], ids=lambda one: one.id
)
def test_no_policy_lets_anybody_manage_people(
    place: Premises, mallory: Person, hers: dict[str, str], operation: Operation
) -> None:
    path, body = probe(operation, mallory)
    before = people(place)
    answer = place.client.request(operation.method, path, json=body, headers=hers)
    assert answer.status_code in ({403, 404} if "AKADMIN" in path else {403}), answer.text
    assert people(place) == before


@pytest.fixture
def groups(place: Premises) -> Iterator[str]:
    """A group with full access, in which nobody is."""
    group_id = str(place.as_root("POST", "/v3/groups", {"group": {"name": "elite"}})["group"]["id"])
    place.as_root("PUT", f"/v3/domains/{ACCOUNT}/groups/{group_id}/roles/{FULL_ACCESS}")
    yield group_id
    place.as_root("DELETE", f"/v3/groups/{group_id}")


def test_nobody_gives_oneself_anything(place: Premises, victim: Person, groups: str) -> None:
    own = {TOKEN: place.token("victim")}
    policy = place.policy({"Effect": "Allow", "Action": ["*:*:*"]})
    user_id = victim.user_id
    admin_id = place.as_root("GET", "/v3/users?name=admin")["users"][0]["id"]
    before = people(place)
    for method, path, body in (
        ("PUT", f"/v3/domains/{ACCOUNT}/users/{user_id}/roles/{policy}", None),
        ("PUT", f"/v3/projects/{NORTH}/users/{user_id}/roles/{FULL_ACCESS}", None),
        ("PUT", f"/v3/groups/{groups}/users/{user_id}", None),
        ("PUT", f"/v3/domains/{ACCOUNT}/groups/{groups}/roles/{policy}", None),
        ("PATCH", f"/v3/users/{user_id}", {"user": {"password": "another one", "enabled": True}}),
        ("PATCH", f"/v3/users/{admin_id}", {"user": {"password": "mine from now on"}}),
        ("PATCH", f"/v3/users/{admin_id}", {"user": {"enabled": False}}),
        ("DELETE", f"/v3/users/{admin_id}", None),
        ("POST", CREDENTIALS, {"credential": {"user_id": admin_id}}),
        ("GET", f"{CREDENTIALS}?user_id={admin_id}", None),
        ("DELETE", f"{CREDENTIALS}/AKADMIN", None),
        ("PATCH", f"/v3.0/OS-ROLE/roles/{policy}", {"role": {"display_name": "mine"}}),
        ("GET", "/v3/audit-records", None),
    ):
        answer = place.client.request(method, path, json=body, headers=own)
        assert "victim" in said(answer, 403), (method, path)
    assert people(place) == before


@pytest.fixture(scope="module")
def elsewhere(place: Premises) -> dict[str, str]:
    """The headers of another account's administrator, whose project is p-other."""
    account = Account(account_id="other", name="other", created_at=NOW)
    eve = User(
        user_id="u-other", account_id="other", name="eve", description=None, password_hash="!", administrator=True,
        enabled=True, created_at=NOW,
    )  # fmt: skip
    with place.house.database.transaction() as tx:
        access.insert_account(tx, account)
        access.insert_project(tx, Project(project_id="p-other", account_id="other", name="north", created_at=NOW))
        access.insert_user(tx, eve)
        return {TOKEN: tokens.issue(tx, eve, account, None, place.clock())[0]}


def exchanged(place: Premises, token: str, **scope: object) -> httpx.Response:
    identity = {"methods": ["token"], "token": {"id": token}}
    return place.client.post("/v3/auth/tokens", json={"auth": {"identity": identity, "scope": scope}})


def test_a_token_is_exchanged_within_its_own_account_alone_and_lives_no_longer(
    place: Premises, mallory: Person, elsewhere: dict[str, str]
) -> None:
    token = place.token("mallory", ProjectScope(name="south"), age=timedelta(hours=23))
    for scope in (
        {"project": {"id": "p-other"}},
        {"project": {"name": "north", "domain": {"name": "other"}}},
        {"domain": {"id": "other"}},
        {"domain": {"name": "other"}},
    ):
        assert said(exchanged(place, token, **scope), 401)
        assert said(exchanged(place, elsewhere[TOKEN], project={"id": NORTH}), 401)
    # Within the account a token may be exchanged, as Keystone does it: what it may do is its user's, not the token's.
    other = exchanged(place, token, project={"name": "north"})
    assert other.status_code == 201
    assert other.json()["token"]["user"]["id"] == mallory.user_id
    place.clock.advance(3600)
    late = place.client.get(TASKS, headers={TOKEN: other.headers[SUBJECT]})
    place.clock.advance(-3600)
    assert said(late, 401) == "The token must be updated."


def test_a_token_that_is_over_is_exchanged_for_nothing(place: Premises, mallory: Person) -> None:
    token = place.token("mallory")
    place.client.delete("/v3/auth/tokens", headers={TOKEN: token, SUBJECT: token})
    assert said(exchanged(place, token, project={"name": "north"}), 401)
    assert said(exchanged(place, place.token("mallory", age=timedelta(hours=24)), project={"name": "north"}), 401)


@pytest.mark.parametrize("end", ["read", "end"])
def test_the_tokens_of_others_can_neither_be_read_nor_ended(
    place: Premises, hers: dict[str, str], victim: Person, elsewhere: dict[str, str], end: str
) -> None:
    method = {"read": "GET", "end": "DELETE"}[end]
    token = place.token("victim")
    for headers, status in ((hers, 403), (elsewhere, 404)):
        assert said(place.client.request(method, "/v3/auth/tokens", headers={**headers, SUBJECT: token}), status)
    assert place.client.get(TASKS, headers={TOKEN: token}).status_code == 200


def test_a_temporary_key_makes_nothing_that_lasts(place: Premises, mallory: Person, hers: dict[str, str]) -> None:
    path = "/v3.0/OS-CREDENTIAL/securitytokens"
    body = {"auth": {"identity": {"methods": ["token"], "token": {"duration_seconds": 900}}}}
    key = place.client.post(path, json=body, headers=hers).raise_for_status().json()["credential"]
    before = people(place)
    for target, sent in (
        (path, json.dumps(body).encode()),
        (CREDENTIALS, b'{"credential": {}}'),
        (CREDENTIALS, json.dumps({"credential": {"user_id": mallory.user_id}}).encode()),
    ):
        headers = place.signed(
            "POST", target, sent,
            access_key=key["access"], secret=key["secret"], headers={SECURITY: key["securitytoken"]},
        )  # fmt: skip
        assert "temporary" in said(place.client.post(target, content=sent, headers=JSON | headers), 403)
    assert people(place) == before
    # Nor is its security token one with which anybody could sign in.
    assert said(place.client.get(TASKS, headers={TOKEN: key["securitytoken"]}), 401)
    assert said(exchanged(place, key["securitytoken"], project={"name": "north"}), 401)


def test_nobody_has_a_temporary_key_by_another_ones_token(
    place: Premises, hers: dict[str, str], victim: Person
) -> None:
    token = {"id": place.token("victim"), "duration_seconds": 900}
    body = {"auth": {"identity": {"methods": ["token"], "token": token}}}
    assert said(place.client.post("/v3.0/OS-CREDENTIAL/securitytokens", json=body, headers=hers), 400)


# Guessing, and keeping others out.


def test_an_unknown_user_takes_as_long_as_a_known_one(place: Premises, victim: Person) -> None:
    access = Access(place.house.database)
    place.as_root("PATCH", f"/v3/users/{victim.user_id}", {"user": {"enabled": False}})
    asked = {"unknown": ("nobody", ACCOUNT), "elsewhere": ("nobody", "nowhere"), "known": ("admin", ACCOUNT)}
    taken: dict[str, list[float]] = {name: [] for name in (*asked, "disabled")}
    for _ in range(5):
        for name, (user, account) in asked.items():
            taken[name].append(seconds_of(access, user, account, "wrong"))
        taken["disabled"].append(seconds_of(access, "victim", ACCOUNT, PASSWORD))
    medians = {name: statistics.median(times) for name, times in taken.items()}
    # Without the hash it would be a hundredth.
    assert max(medians.values()) < 3 * min(medians.values()), medians


def seconds_of(access: Access, user: str, account: str, password: str) -> float:
    begun = time.perf_counter()
    with pytest.raises(Unauthenticated, match="The username or password is wrong"):
        access.sign_in(user, account, password, None, NOW)
    return time.perf_counter() - begun


def test_who_locks_a_key_locks_nothing_else(place: Premises, victim: Person) -> None:
    other = place.as_root("POST", CREDENTIALS, {"credential": {"user_id": victim.user_id}})["credential"]
    for _ in range(BAD_SIGNATURES_MAX + 1):
        forged = place.signed("GET", TASKS, access_key=victim.access_key, secret="guessed")
        assert said(place.client.get(TASKS, headers=forged), 401)
    assert "forbidden" in said(place.client.get(TASKS, headers=place.signed_by(victim, "GET", TASKS)), 401)
    # The victim's token and its other key, which it has for such a day, and everybody else are not concerned.
    headers = place.signed("GET", TASKS, access_key=other["access"], secret=other["secret"])
    assert place.client.get(TASKS, headers=headers).status_code == 200
    assert place.client.get(TASKS, headers={TOKEN: place.token("victim")}).status_code == 200
    assert place.client.get(TASKS, headers=place.signed("GET", TASKS)).status_code == 200
    place.clock.advance(LOCKED_FOR.total_seconds())
    assert place.client.get(TASKS, headers=place.signed_by(victim, "GET", TASKS)).status_code == 200


def test_a_wrong_clock_or_a_malformed_signature_locks_no_key(place: Premises, victim: Person) -> None:
    for _ in range(BAD_SIGNATURES_MAX + 2):
        place.clock.advance(-3600)
        late = place.signed_by(victim, "GET", TASKS)
        place.clock.advance(3600)
        assert "server time" in said(place.client.get(TASKS, headers=late), 401)
        malformed = {"Authorization": f"SDK-HMAC-SHA256 Access={victim.access_key}, SignedHeaders=, Signature=0"}
        assert said(place.client.get(TASKS, headers=malformed), 401)
    assert place.client.get(TASKS, headers=place.signed_by(victim, "GET", TASKS)).status_code == 200


def test_who_guesses_at_a_password_keeps_its_user_from_signing_in_and_no_more(place: Premises, victim: Person) -> None:
    token = place.sign_in("victim")
    user = {"name": "victim", "password": "guessed", "domain": {"name": ACCOUNT}}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}
    for _ in range(USER_FAILURES_MAX):
        assert said(place.client.post("/v3/auth/tokens", json=body), 401)
    user["password"] = PASSWORD
    throttled = place.client.post("/v3/auth/tokens", json=body)
    assert said(throttled, 429) == "The throttling threshold has been reached."
    assert 1 <= int(throttled.headers["Retry-After"]) <= FAILURES_WITHIN.total_seconds()
    assert place.client.get(TASKS, headers={TOKEN: token}).status_code == 200
    assert place.client.get(TASKS, headers=place.signed_by(victim, "GET", TASKS)).status_code == 200
    place.clock.advance(FAILURES_WITHIN.total_seconds())
    assert place.sign_in("victim")


@pytest.mark.parametrize(
    "name", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Client-IP", "X-Forwarded-Proto", "X-Forwarded-Host"]
)
def test_a_header_says_nothing_of_where_a_request_comes_from(place: Premises, name: str) -> None:
    answer = place.client.get("/v3/projects/none", headers={name: "for=192.0.2.7"} | {TOKEN: "made up"})
    place.house._api._audit.flush()
    (record,) = [one for one in records(place) if one["request_id"] == answer.headers["x-request-id"]]
    assert "192.0.2.7" not in json.dumps(record)
    links = place.client.get("/v3", headers={name: "https, 192.0.2.7"}).text
    assert "192.0.2.7" not in links
    assert "https" not in links


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The service as it is started, with its own HTTP server's settings."""
    with running(tmp_path_factory.mktemp("served")) as served:
        yield served


def test_the_service_itself_believes_no_proxy(served: Running) -> None:
    with httpx.Client(base_url=served.url, trust_env=False) as client:
        forged = {TOKEN: "made up", "X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}
        refused = client.get(f"/v1/{NORTH}/schedule-task", headers=forged)
        assert refused.status_code == 401
        assert "https" not in client.get("/v3", headers=forged).text
        root = {TOKEN: served.token()}

        def on_record() -> list[str]:
            listed = client.get("/v3/audit-records", headers=root).raise_for_status().json()["records"]
            return [one["source"] for one in listed if one["request_id"] == refused.headers["x-request-id"]]

        assert eventually(on_record) == ["127.0.0.1"]


@pytest.mark.parametrize("line", [b"X-%d: y\r\n", b"X-%d: " + b"y" * 1000 + b"\r\n"], ids=["short", "long"])
def test_a_head_that_does_not_end_is_cut_off(served: Running, line: bytes) -> None:
    # A head is kept in memory until it ends, ten times over when its lines are short, whoever sends it.
    head = b"".join(line % number for number in range(HEAD_BYTES_MAX // len(line % 0)))
    parts, answer = urlsplit(served.url), b""
    with (
        socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as connection,
        suppress(ConnectionError),
    ):
        connection.sendall(b"GET /v3 HTTP/1.1\r\nHost: x\r\n" + head + b"Connection: close\r\n\r\n")
        answer = connection.recv(65_536)
    assert not answer.startswith(b"HTTP/1.1 2"), answer


# The audit log.


def records(place: Premises) -> list[dict[str, Any]]:
    listed = place.client.get("/v3/audit-records", params={"limit": 100}, headers=place.root).raise_for_status()
    found: list[dict[str, Any]] = listed.json()["records"]
    return found


def test_every_attempt_that_was_refused_is_on_record_with_who_and_why(place: Premises, mallory: Person) -> None:
    place.person("nosy")
    theirs = {TOKEN: place.token("nosy")}
    expected: dict[str, Outcome] = {}
    for operation in OPERATIONS:
        if operation.open_to_all or operation.body is not None:
            continue
        path, _ = probe(operation, mallory)
        for headers, status, outcome in ((theirs, 403, Outcome.DENIED), ({}, 401, Outcome.UNAUTHENTICATED)):
            answer = place.client.request(operation.method, path, headers=headers)
            if answer.status_code == status:
                expected[answer.headers["x-request-id"]] = outcome
    assert len(expected) > len(OPERATIONS) / 2
    place.house._api._audit.flush()
    found: dict[str, AuditRecord] = {}
    before: int | None = None
    admin = Access(place.house.database).caller_of_token(place.root[TOKEN], place.clock())
    while page := place.house._api._audit.page(admin, AuditFilter(), before=before).records:
        found |= {record.request_id: record for record in page}
        before = page[-1].record_id
    assert {key: found[key].decision for key in expected if key in found} == expected
    assert all(found[key].reason for key in expected)
    assert {found[key].user_name for key, outcome in expected.items() if outcome is Outcome.DENIED} == {"nosy"}


def test_a_line_end_in_a_path_makes_no_second_record(place: Premises) -> None:
    count = len(records(place))
    path = f"{TASKS}/x%0a%7b%22decision%22%3a%22allowed%22%7d"
    answer = place.client.delete(path, headers=place.root)
    place.house._api._audit.flush()
    (record,) = [one for one in records(place) if one["request_id"] == answer.headers["x-request-id"]]
    assert record["status"] == answer.status_code
    assert len(records(place)) <= count + 1
