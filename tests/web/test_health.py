"""Health: the truth, part by part, to whoever asks."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from fleetcron.web.health import LIVE, READY, Health


def well() -> None:
    return None


def ill() -> str:
    return "does not answer"


async def other(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 418, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def asked(app: ASGIApp, method: str, path: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://process") as client:
            return await client.request(method, path)

    asking: Coroutine[Any, Any, httpx.Response] = ask()
    return asyncio.run(asking)


def test_a_process_may_live_and_not_be_ready() -> None:
    app = Health(live={"engine": well}, ready={"engine": well, "database": ill})
    live, ready = asked(app, "GET", LIVE), asked(app, "GET", READY)
    assert (live.status_code, live.json()) == (200, {"live": True, "parts": {"engine": "ok"}})
    parts = {"engine": "ok", "database": "does not answer"}
    assert (ready.status_code, ready.json()) == (503, {"ready": False, "parts": parts})


def test_what_is_said_is_as_of_now() -> None:
    troubles: list[str | None] = [None, "is ending"]
    app = Health(live={}, ready={"process": lambda: troubles.pop(0)})
    assert [asked(app, "GET", READY).status_code for _ in range(2)] == [200, 503]
    assert asked(Health(live={}, ready={}), "GET", READY).headers["Cache-Control"] == "no-store"


def test_only_looking_is_allowed_and_head_has_no_body() -> None:
    app = Health(live={}, ready={"database": ill})
    refused = asked(app, "POST", READY)
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD")
    head = asked(app, "HEAD", READY)
    assert (head.status_code, head.content) == (503, b"")


@pytest.mark.parametrize(("otherwise", "status"), [(None, 404), (other, 418)])
def test_everything_else_is_somebody_elses(otherwise: ASGIApp | None, status: int) -> None:
    app = Health(live={}, ready={}, otherwise=otherwise)
    assert {asked(app, "GET", path).status_code for path in ("/", "/health", "/health/live/")} == {status}
