"""The HTTP application: a door for every path of the table of operations, and the pages that never change."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from fleetcron.web import api, audit, groups, identity, policies
from fleetcron.web.authentication import Gate
from fleetcron.web.call import Answer, Deed, Ground
from fleetcron.web.door import Door, send_answer
from fleetcron.wire import faults
from fleetcron.wire.openapi import document
from fleetcron.wire.operation import Dialect, Operation
from fleetcron.wire.operations import OPERATIONS

THREADS_MAX = 16

DEEDS: Final[Mapping[str, Deed]] = {
    **api.DEEDS,
    **identity.DEEDS,
    **groups.DEEDS,
    **policies.DEEDS,
    **audit.DEEDS,
}


def build(ground: Ground, gate: Gate, *, version: str) -> ASGIApp:
    """The whole HTTP application over one ground, behind one gate."""
    threads = ThreadPoolExecutor(max_workers=THREADS_MAX, thread_name_prefix="web")
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in OPERATIONS:
        by_path.setdefault(operation.path, {})[operation.method] = operation
    doors = {
        path: Door(operations, deeds=DEEDS, ground=ground, gate=gate, threads=threads)
        for path, operations in by_path.items()
    }
    routes = [Route(path, endpoint=doors[path]) for path in sorted(doors, key=_precedence)]
    # Where clients of Keystone look for it as well.
    routes.append(Route("/v3/", endpoint=doors["/v3"]))
    routes.append(Route("/openapi.json", endpoint=Page(msgspec.json.encode(document(OPERATIONS, version=version)))))
    return Router(routes=routes, redirect_slashes=False, default=Nowhere())


def _precedence(path: str) -> tuple[bool, int, list[bool]]:
    """Where a path stands among the routes, which are tried one after the other.

    Literal segments before parameters, or /schedule-task/{task_id} would swallow its neighbours. The history first: it
    is what is asked most, and each route that is tried in vain costs a microsecond.
    """
    parts = path.split("/")
    return not path.endswith("-history"), -len(parts), [part.startswith("{") for part in parts]


class Page:
    """A document that does not change while the service runs; only GET, open to all."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request."""
        request_id = secrets.token_hex(16)
        if scope["method"] == "GET":
            answer = Answer(body=self._body)
        else:
            answer = Answer(
                status=405,
                body=faults.say_fault(Dialect.WORKSPACE, 405, "WKS.00000405", "The method is not allowed; GET is."),
                headers={"Allow": "GET"},
            )
        await send_answer(send, answer, request_id)


class Nowhere:
    """Every path that no operation has."""

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        body = faults.say_fault(Dialect.WORKSPACE, 404, faults.NO_SUCH_API, "The API does not exist.")
        await send_answer(send, Answer(status=404, body=body), secrets.token_hex(16))
