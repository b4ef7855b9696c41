"""Whether this process lives, and whether it is ready for work: for whoever watches over it, without signing in.

Nothing that an answer says is a secret: no address, no version, only which part is not well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

LIVE: Final = "/health/live"
READY: Final = "/health/ready"

WELL: Final = "ok"

Check = Callable[[], str | None]
"""What is wrong with a part, None if nothing is; it answers at once, from what is known."""


class Health:
    """Answers LIVE and READY, each 200 if all of its checks are well and 503 if not; anything else is ``otherwise``'s.

    A process that does not live should be ended and started again. One that is not ready should be given no work for
    now, and is not helped by a new start.
    """

    def __init__(
        self, *, live: Mapping[str, Check], ready: Mapping[str, Check], otherwise: ASGIApp | None = None
    ) -> None:
        self._pages = {LIVE: ("live", dict(live)), READY: ("ready", dict(ready))}
        self._otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        page = self._pages.get(scope.get("path", ""))
        if page is None and self._otherwise is not None:
            await self._otherwise(scope, receive, send)
        elif scope["type"] == "http":
            status, said = (404, {}) if page is None else _answer(scope["method"], *page)
            await _send(send, status, said, with_body=scope["method"] != "HEAD")


def _answer(method: str, word: str, checks: Mapping[str, Check]) -> tuple[int, Mapping[str, object]]:
    if method not in {"GET", "HEAD"}:
        return 405, {}
    parts = {name: check() or WELL for name, check in checks.items()}
    well = all(said == WELL for said in parts.values())
    return 200 if well else 503, {word: well, "parts": parts}


async def _send(send: Send, status: int, said: Mapping[str, object], *, with_body: bool) -> None:
    body = msgspec.json.encode(said)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        # What was well a moment ago is no answer.
        (b"cache-control", b"no-store"),
        *([(b"allow", b"GET, HEAD")] if status == 405 else []),  # noqa: PLR2004  (method not allowed)
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body if with_body else b""})
