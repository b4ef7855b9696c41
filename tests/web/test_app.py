"""The HTTP door: what is refused before anything is asked, and what every error answers."""

from __future__ import annotations

import json
import logging
import shutil
import socket
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from fleetcron.assembly.house import House
from fleetcron.store import sqlite as database_module
from fleetcron.store.sqlite import FILE_NAME
from fleetcron.web.app import DEEDS
from fleetcron.web.door import BODY_BYTES_MAX
from fleetcron.wire.operations import OPERATIONS

JSON = {"Content-Type": "application/json"}
HISTORY = "/schedule-task/no-such-task/execute-history"
Own = tuple[House, httpx.Client]


def refused(answer: httpx.Response, status: int, *words: str) -> str:
    """The error's code, having seen that the answer is a complete one and that its message says the words."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert len(answer.headers["x-request-id"]) == 32
    fault = answer.json()
    assert set(fault) == {"error_code", "error_msg"}
    assert 1 <= len(fault["error_code"]) <= 16
    assert 1 <= len(fault["error_msg"]) <= 255
    assert all(word in fault["error_msg"] for word in words), fault
    return str(fault["error_code"])


def identity_refused(answer: httpx.Response, status: int) -> str:
    """The same for the identity API: the message."""
    assert answer.status_code == status, answer.text
    assert answer.headers["x-request-id"]
    fault = answer.json()["error"]
    assert set(fault) == {"code", "message", "title"}
    assert fault["code"] == status
    return str(fault["message"])


@pytest.fixture
def raw(address: str, token: str) -> Callable[[bytes], tuple[int, bytes]]:
    """Sends bytes as they are, with TOKEN replaced, and returns the status and all that came back."""
    parts = urlsplit(address)

    def raw(request: bytes) -> tuple[int, bytes]:
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as connection:
            connection.sendall(request.replace(b"TOKEN", token.encode()))
            answer = b"".join(iter(lambda: connection.recv(65_536), b""))
        return int(answer.split(b" ", 2)[1]), answer

    return raw


def get(target: bytes) -> bytes:
    return b"GET %b HTTP/1.1\r\nHost: x\r\nX-Auth-Token: TOKEN\r\nConnection: close\r\n\r\n" % target


def test_every_answer_carries_an_id_of_its_own(web: httpx.Client) -> None:
    ids = {web.get("/schedule-task").headers["x-request-id"] for _ in range(5)}
    assert len(ids) == 5


@pytest.mark.parametrize(
    "path", ["", "/", "/schedule-task/", "/schedule-tasks", "/schedule-task/a/b", "/app-servers/a/b"]
)
def test_a_path_that_is_none_of_ours_is_not_found(web: httpx.Client, path: str) -> None:
    assert refused(web.get(f"{web.base_url}".rstrip("/") + path), 404) == "APIGW.0101"


@pytest.mark.parametrize(
    "path", ["/v1//schedule-task", "/v2/p/schedule-task", "/v1", "/favicon.ico", "//", "/openapi.json/"]
)
def test_a_path_outside_the_api_is_not_found(root: httpx.Client, path: str) -> None:
    assert refused(root.get(str(root.base_url).rstrip("/") + path), 404) == "APIGW.0101"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", HISTORY, "GET"),
        ("DELETE", HISTORY, "GET"),
        ("PUT", "/schedule-task/x", "DELETE, GET, PATCH"),
        ("PATCH", "/schedule-task", "GET, POST"),
        ("GET", "/schedule-task/actions/batch-delete", "POST"),
        ("POST", "/app-servers/actions/batch-reboot", "PATCH"),
        ("OPTIONS", "/schedule-task", "GET, POST"),
        ("PROPFIND", "/schedule-task", "GET, POST"),
    ],
)
def test_another_method_is_not_allowed_and_told_which_is(
    web: httpx.Client, method: str, path: str, allowed: str
) -> None:
    answer = web.request(method, path)
    assert refused(answer, 405, method) == "WKS.00000405"
    assert answer.headers["allow"] == allowed


def test_the_identity_api_says_a_wrong_method_in_its_own_way(root: httpx.Client) -> None:
    answer = root.put("/v3/auth/tokens")
    identity_refused(answer, 405)
    assert answer.headers["allow"] == "DELETE, GET, POST"


def test_a_head_request_is_answered_without_a_body(web: httpx.Client) -> None:
    answer = web.head("/schedule-task")
    assert (answer.status_code, answer.content) == (405, b"")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/xml", "application/jsonp", "multipart/form-data", "", ";", "x" * 999]
)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_another_media_type_is_not_supported(web: httpx.Client, method: str, kind: str) -> None:
    path = "/schedule-task" if method == "POST" else "/schedule-task/x"
    answer = web.request(method, path, content=b"{}", headers={"Content-Type": kind})
    assert refused(answer, 415) == "WKS.00000415"


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json;charset=utf-8", "Application/JSON ; charset=UTF-8", None]
)
def test_json_is_taken_however_it_is_called(web: httpx.Client, kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    assert refused(web.post("/schedule-task", content=b"{}", headers=headers), 400, "required")


def test_the_identity_api_says_a_wrong_media_type_in_its_own_way(root: httpx.Client) -> None:
    identity_refused(root.post("/v3/auth/tokens", content=b"{}", headers={"Content-Type": "text/plain"}), 415)


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"7",
        b"{}{}",
        b"\x00",
        b"\xff\xfe{\x00}\x00",
        b"[" * 500_000,
        b'{"a":' * 200_000,
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"day_interval":' + b"9" * 100_000 + b"}",
        b'{"day_interval":1e999999}',
        b'{"task_name":"\\ud800"}',
        b'{"task_name":"\\u0000"}',
        b'{"task_name":"a\x00b"}',
        b'{"task_name":"\xed\xa0\x80"}',
    ],
)
@pytest.mark.parametrize("path", ["/schedule-task", "/schedule-task/future-executions"])
def test_a_body_that_cannot_be_meant_is_refused(web: httpx.Client, path: str, content: bytes) -> None:
    assert refused(web.post(path, content=content, headers=JSON), 400) == "WKS.00211102"


@pytest.mark.parametrize(
    "content",
    [b"{", b"null", b"[]", b"", b"{}", b"[" * 500_000, b'{"auth":{}}', b'{"auth":{"identity":{"methods":[]}}}'],
)
def test_the_identity_api_says_a_bad_body_in_its_own_way(root: httpx.Client, content: bytes) -> None:
    message = identity_refused(root.post("/v3/auth/tokens", content=content, headers=JSON), 400)
    assert message.startswith("The request body is invalid")


@pytest.mark.parametrize("text", ["\0", "a\0b", "\x1b[31m", "\u202e", "'; DROP TABLE tasks; --", "\U0001f600"])
def test_strange_text_in_a_description_is_kept_or_refused(web: httpx.Client, text: str) -> None:
    body = {
        "task_name": "strange",
        "task_type": "RESTART_SERVER",
        "scheduled_type": "DAY",
        "day_interval": 1,
        "scheduled_time": "03:00:00",
        "target_infos": [{"target_type": "SERVER", "target_id": text}],
        "description": text,
    }
    answer = web.post("/schedule-task", json=body)
    if answer.status_code == 200:
        shown = web.get(f"/schedule-task/{answer.json()['id']}").json()
        assert (shown["description"], shown["target_infos"][0]["target_id"]) == (text, text)
    else:
        refused(answer, 400)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_refused(web: httpx.Client, *, chunked: bool) -> None:
    def parts() -> Iterator[bytes]:
        part = b" " * (1024 * 1024)
        yield from (part for _ in range(12))
        yield b"!"

    content = parts() if chunked else b"".join(parts())
    assert refused(web.post("/schedule-task", content=content, headers=JSON), 413) == "APIGW.0201"


def test_a_body_as_large_as_may_be_is_read(web: httpx.Client) -> None:
    body = {"items": ["x"]}
    content = json.dumps(body).encode().ljust(BODY_BYTES_MAX)
    assert web.post("/schedule-task/actions/batch-delete", content=content, headers=JSON).status_code == 200


def test_a_body_that_is_announced_too_large_is_not_waited_for(raw: Callable[[bytes], tuple[int, bytes]]) -> None:
    head = b"POST /v1/p/schedule-task HTTP/1.1\r\nHost: x\r\nX-Auth-Token: TOKEN\r\nConnection: close\r\n"
    status, answer = raw(head + b"Content-Type: application/json\r\nContent-Length: 12582913\r\n\r\n")
    assert status == 413
    assert b"APIGW.0201" in answer


@pytest.mark.parametrize(
    "slashes", ["/schedule-task/a%2Fb", "/schedule-task/a%2fb/execute-history", "/schedule-task/x%2Fexecute-history"]
)
def test_an_encoded_slash_leads_nowhere(web: httpx.Client, slashes: str) -> None:
    assert refused(web.get(slashes), 404) == "APIGW.0101"


@pytest.mark.parametrize(
    "target",
    [
        b"/v1/p/schedule-task?limit=\xff",
        b"/v1/p/schedule-task?task_name=\xff\xfe",
        b"/v1/\xff/schedule-task",
        b"/v1/p/schedule-task?limit=%00",
        b"/v1/p/../schedule-task",
        b"//v1/p/schedule-task",
        b"http://elsewhere/v1/p/schedule-task",
        b"/v1/p/schedule-task?" + b"a" * 60_000,
        b"/" + b"a" * 60_000,
        b"/v1/p/schedule-task/%ed%a0%80/execute-history",
        b"*",
    ],
)
def test_no_target_makes_the_service_fail(raw: Callable[[bytes], tuple[int, bytes]], target: bytes) -> None:
    status, _ = raw(get(target))
    assert 400 <= status < 500


@pytest.mark.parametrize(
    "headers",
    [
        b"X-Auth-Token: \xff\xfe\r\n",
        b"X-Auth-Token: \r\n",
        b"Authorization: SDK-HMAC-SHA256\r\n",
        b"Authorization: SDK-HMAC-SHA256 Access=\xff, SignedHeaders=a, Signature=b\r\n",
        b"Authorization: SDK-HMAC-SHA256 Access=AKADMIN, SignedHeaders=x-sdk-date, Signature=" + b"0" * 64 + b"\r\n",
        b"Authorization: Bearer x\r\n",
    ],
)
def test_no_credentials_make_the_service_fail(raw: Callable[[bytes], tuple[int, bytes]], headers: bytes) -> None:
    target = b"GET /v1/p/schedule-task HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    status, answer = raw(target + headers + b"\r\n")
    assert status == 401
    assert b"APIGW.0301" in answer


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
def test_nothing_is_done_for_a_stranger(stranger: httpx.Client, address: str, operation: Any) -> None:  # noqa: ANN401
    if operation.open_to_all:
        return
    path = operation.path.replace("{project_id}", "p").replace("{", "").replace("}", "")
    answer = stranger.request(operation.method, address + path, content=b"{}" if operation.body else None, headers=JSON)
    assert answer.status_code == 401
    assert answer.headers["x-request-id"]


def test_the_openapi_document_is_open_to_all(stranger: httpx.Client, address: str) -> None:
    answer = stranger.get(f"{address}/openapi.json")
    assert answer.status_code == 200
    assert answer.json()["openapi"].startswith("3.1")
    assert len([1 for path in answer.json()["paths"].values() for _ in path]) == len(OPERATIONS)
    wrong = stranger.post(f"{address}/openapi.json")
    assert refused(wrong, 405) == "WKS.00000405"
    assert wrong.headers["allow"] == "GET"


def test_an_unexpected_error_tells_nothing_of_the_inside(
    web: httpx.Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: object) -> object:
        raise KeyError("secret detail")

    monkeypatch.setitem(DEEDS, "ListTaskExecuteHistory", broken)
    monkeypatch.setitem(DEEDS, "CreateScheduleTask", broken)
    body = {"task_name": "a", "task_type": "STOP_SERVER", "scheduled_type": "DAY",
            "target_infos": [{"target_type": "SERVER", "target_id": "x"}]}  # fmt: skip
    with caplog.at_level(logging.ERROR, "fleetcron"):
        for answer in (web.get(HISTORY), web.post("/schedule-task", json=body)):
            assert refused(answer, 500, answer.headers["x-request-id"]) == "WKS.00211401"
            assert "secret" not in answer.text
            assert "KeyError" not in answer.text
            # Whoever operates the service finds the whole story under the request's id.
            assert answer.headers["x-request-id"] in caplog.text
    assert "secret detail" in caplog.text


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for it before ``own``: its database waits for nobody."""
    monkeypatch.setattr(database_module, "LOCK_WAIT_SECONDS", 0.05)


def unavailable(answer: httpx.Response) -> None:
    assert refused(answer, 503) == "WKS.00050902"
    for inside in ("sqlite", "SELECT", "no such table", str(Path.home())):
        assert inside not in answer.text


def test_a_database_that_somebody_else_has_locked_is_unavailable(impatient: None, own: Own) -> None:
    service, client = own
    locker = sqlite3.connect(service.database.folder / FILE_NAME, isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    unavailable(client.delete("/schedule-task/x"))
    # Readers do not wait for writers.
    assert client.get("/schedule-task").status_code == 200
    locker.execute("ROLLBACK")
    locker.close()
    assert client.delete("/schedule-task/x").status_code == 200


def test_a_database_that_has_lost_a_table_is_unavailable(own: Own) -> None:
    service, client = own
    with service.database.transaction() as tx:
        tx.execute("ALTER TABLE projects RENAME TO lost")
    for answer in (client.get(HISTORY), client.get("/schedule-task"), client.delete("/schedule-task/x")):
        unavailable(answer)


def test_a_database_that_is_damaged_is_unavailable(own: Own) -> None:
    service, client = own
    for name in (FILE_NAME, f"{FILE_NAME}-wal"):
        # In place: the file must not become shorter under those who have it mapped.
        with (service.database.folder / name).open("r+b") as file:
            size_bytes = file.seek(0, 2)
            file.seek(0)
            file.write(b"\xff" * size_bytes)
    for answer in (client.get(HISTORY), client.delete("/schedule-task/x"), client.get("/app-servers")):
        unavailable(answer)


def test_a_database_that_is_gone_is_unavailable(own: Own) -> None:
    service, client = own
    shutil.rmtree(service.database.folder)
    unavailable(client.get(HISTORY))
