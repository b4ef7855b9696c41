"""What the client makes of the service's answers, and of a service that gives none."""

from __future__ import annotations

import socket
from collections.abc import Callable

import httpx
import pytest

from fleetcron.cli.client import Client, Unreachable
from fleetcron.cli.exits import Exit, Failure, Misuse
from fleetcron.cli.options import Stretch

Run = Callable[..., tuple[int, str, str]]


def client_of(answer: Callable[[httpx.Request], httpx.Response]) -> Client:
    """A client before a server of a few lines."""
    return Client(httpx.Client(transport=httpx.MockTransport(answer), base_url="http://fleet.example"), "p1")


def refused(response: httpx.Response) -> Failure:
    with pytest.raises(Failure) as failed:
        client_of(lambda _request: response).call("ListServers")
    return failed.value


def test_an_error_is_told_with_code_message_and_request_id() -> None:
    body = {"error_code": "WKS.00081102", "error_msg": "No."}
    failure = refused(httpx.Response(403, json=body, headers={"X-Request-Id": "r1"}))
    assert (failure.code, str(failure)) == (Exit.FORBIDDEN, "WKS.00081102: No. (HTTP 403, X-Request-Id r1)")


def test_an_error_in_keystones_shape_is_told_alike() -> None:
    body = {"error": {"code": 401, "message": "Who?", "title": "Unauthorized"}}
    failure = refused(httpx.Response(401, json=body, headers={"X-Request-Id": "r2"}))
    assert (failure.code, str(failure)) == (Exit.UNAUTHENTICATED, "401: Who? (HTTP 401, X-Request-Id r2)")


@pytest.mark.parametrize("content", [b"<html>Bad Gateway</html>", b"", b"\xff", b"[]"])
def test_an_answer_of_somebody_between_is_told_too(content: bytes) -> None:
    failure = refused(httpx.Response(502, content=content))
    assert failure.code is Exit.UNAVAILABLE
    assert str(failure).startswith("502: ")


def test_ids_fill_the_path_after_the_project() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={})

    client_of(answer).call("ListTaskExecuteHistory", "a/b?", query={"limit": 7, "offset": None, "name": ""})
    (request,) = asked
    assert request.method == "GET"
    assert request.url.raw_path == b"/v1/p1/schedule-task/a%2Fb%3F/execute-history?limit=7"


def test_an_empty_id_is_not_sent() -> None:
    with pytest.raises(Misuse):
        client_of(lambda _request: httpx.Response(200)).call("ShowServer", "")


def test_a_whole_list_is_fetched_page_after_page() -> None:
    everything = list(range(250))

    def answer(request: httpx.Request) -> httpx.Response:
        offset, limit = (int(request.url.params[name]) for name in ("offset", "limit"))
        return httpx.Response(200, json={"count": 250, "items": everything[offset : offset + limit]})

    reply = client_of(answer).listing("ListServers", stretch=Stretch(offset=30, all=True))
    assert reply.read() == {"count": 250, "items": everything[30:]}


def test_a_service_that_is_not_there_is_unreachable(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    monkeypatch.setenv("FLEETCRON_URL", url)
    code, out, err = run("server", "list")
    assert (code, out) == (7, "")
    assert err.startswith(f"Error: the service at {url} does not answer: ")
    assert issubclass(Unreachable, Failure)


@pytest.mark.parametrize("url", ["no address", "ftp://fleet.example", "http://fleet.example:port"])
def test_what_is_no_address_is_misuse(run: Run, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("FLEETCRON_URL", url)
    code, _, err = run("server", "list")
    assert code == 2
    assert "FLEETCRON_URL" in err
