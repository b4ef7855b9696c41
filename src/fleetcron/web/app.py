"""The HTTP door: routes from the table of operations, who asks, and what every error answers."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from http import HTTPStatus
from typing import Final, TypeVar
from urllib.parse import parse_qsl

import msgspec
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from fleetcron import errors
from fleetcron.web import api, identity
from fleetcron.web.authentication import authenticate
from fleetcron.web.call import Answer, Call, Deed, Ground
from fleetcron.wire import faults
from fleetcron.wire.fields import read_body, read_query
from fleetcron.wire.openapi import document
from fleetcron.wire.operation import Dialect, Operation
from fleetcron.wire.operations import OPERATIONS
from fleetcron.wire.signature import Request

log = logging.getLogger(__name__)

BODY_BYTES_MAX = 12 * 1024 * 1024
THREADS_MAX = 16
QUERY_FIELDS_MAX = 100
QUERIES_REMEMBERED_MAX = 1024

Query = TypeVar("Query")

DEEDS: Final[Mapping[str, Deed]] = {**api.DEEDS, **identity.DEEDS}

_STATUSES: Final[tuple[tuple[type[Exception], int], ...]] = (
    (errors.Invalid, 400),
    (errors.Unauthenticated, 401),
    (errors.Forbidden, 403),
    (errors.NotFound, 404),
    (errors.Conflict, 409),
    (errors.Unavailable, 503),
)


class Refused(Exception):
    """The request is refused for its HTTP alone, before anything is asked of control."""

    def __init__(self, status: int, code: str, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.code = code
        self.headers = headers or {}


def build(ground: Ground, *, version: str) -> ASGIApp:
    """The whole HTTP application over one ground."""
    threads = ThreadPoolExecutor(max_workers=THREADS_MAX, thread_name_prefix="web")
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in OPERATIONS:
        by_path.setdefault(operation.path, {})[operation.method] = operation
    paths = sorted(by_path, key=_precedence)
    routes = [Route(path, endpoint=Door(by_path[path], ground, threads)) for path in paths]
    # Where clients of Keystone look for it as well.
    routes.append(Route("/v3/", endpoint=Door(by_path["/v3"], ground, threads)))
    routes.append(Route("/openapi.json", endpoint=Page(msgspec.json.encode(document(OPERATIONS, version=version)))))
    return Router(routes=routes, redirect_slashes=False, default=Nowhere())


class Door:
    """One path: its operations by method."""

    def __init__(self, operations: Mapping[str, Operation], ground: Ground, threads: ThreadPoolExecutor) -> None:
        self._operations = operations
        self._ground = ground
        self._threads = threads
        # An error that comes before the method is known speaks like the path's first operation.
        self._first = next(iter(operations.values()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request_id = secrets.token_hex(16)
        operation = self._operations.get(scope["method"], self._first)
        try:
            answer = await self._answer(operation, scope, receive)
        except Exception as error:  # noqa: BLE001  (the door answers whatever happens behind it)
            answer = _fault(operation, error, request_id)
        await _send(send, answer, request_id)

    async def _answer(self, operation: Operation, scope: Scope, receive: Receive) -> Answer:
        if operation.method != scope["method"]:
            allowed = ", ".join(sorted(self._operations))
            raise Refused(
                405,
                self._first.faults.get(405, ""),
                f"The method {scope['method']} is not allowed for this resource; {allowed} is.",
                {"Allow": allowed},
            )
        raw_path: bytes = scope["raw_path"]
        if b"%2f" in raw_path.lower():
            # No id of ours has a slash; an encoded one is somebody trying to say two paths at once.
            raise Refused(404, faults.NO_SUCH_API, "The API does not exist.")
        raw_headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in raw_headers}
        body = await _body(receive, headers) if operation.method != "GET" else b""
        now = self._ground.clock()
        caller = None
        if not operation.open_to_all:
            request = Request(
                method=operation.method, path=raw_path, query=scope["query_string"], headers=raw_headers, body=body
            )
            caller = authenticate(self._ground.access, request, headers, now)
        call = Call(
            ground=self._ground,
            caller=caller,
            now=now,
            path=scope["path_params"],
            query=None if operation.query is None else _query(operation.query, scope["query_string"]),
            body=_read(operation, body, headers),
            headers=headers,
        )
        deed = DEEDS[operation.id]
        if operation.method == "GET":
            return deed(call)
        return await asyncio.get_running_loop().run_in_executor(self._threads, deed, call)


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
        await _send(send, answer, request_id)


class Nowhere:
    """Every path that no operation has."""

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        body = faults.say_fault(Dialect.WORKSPACE, 404, faults.NO_SUCH_API, "The API does not exist.")
        await _send(send, Answer(status=404, body=body), secrets.token_hex(16))


async def _body(receive: Receive, headers: Mapping[str, str]) -> bytes:
    """The whole body.

    Raises:
        Refused: it is larger than BODY_BYTES_MAX.
    """
    length = headers.get("content-length", "0")
    parts: list[bytes] = []
    size_bytes = int(length) if length.isdecimal() and int(length) > BODY_BYTES_MAX else 0
    while size_bytes <= BODY_BYTES_MAX:
        message = await receive()
        part = message.get("body", b"")
        size_bytes += len(part)
        parts.append(part)
        if size_bytes <= BODY_BYTES_MAX and not message.get("more_body", False):
            return b"".join(parts)
    raise Refused(413, faults.TOO_LARGE, f"Request entity too large: at most {BODY_BYTES_MAX} bytes.")


@lru_cache(maxsize=QUERIES_REMEMBERED_MAX)
def _query(kind: type[Query], raw: bytes) -> Query:
    """Read a query string; the same few are asked again and again, and what comes out cannot be changed."""
    try:
        pairs = parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX)
    except ValueError as error:
        raise errors.Invalid("query", f"cannot be read: {error}") from error
    said: dict[str, str] = {}
    for name, value in pairs:
        if name in said:
            raise errors.Invalid(name, "is given twice")
        said[name] = value
    return read_query(said, kind)


def _read(operation: Operation, body: bytes, headers: Mapping[str, str]) -> object:
    if operation.body is None:
        return None
    kind = headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(
            415,
            operation.faults.get(415, "415"),
            f"The media type {kind[:60]!r} is not supported; send application/json.",
        )
    return read_body(body, operation.body)


def _fault(operation: Operation, error: Exception, request_id: str) -> Answer:
    """Say an error in the operation's dialect; one that is not ours is logged and told as no more than that."""
    if isinstance(error, Refused):
        body = faults.say_fault(operation.dialect, error.status, error.code, str(error))
        return Answer(status=error.status, body=body, headers=error.headers)
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)
    code = operation.faults.get(status, "")
    message = faults.say_reason(error, operation.dialect)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("request %s: %s failed", request_id, operation.id, exc_info=error)
        message = f"The requested operation failed. Please try again later and quote request {request_id}."
    if isinstance(error, errors.Unavailable):
        log.warning("request %s: %s: %s", request_id, operation.id, error.reason)
    if isinstance(error, errors.StaleToken):
        code = faults.STALE_TOKEN
    return Answer(status=status, body=faults.say_fault(operation.dialect, status, code, message))


_JSON = (b"content-type", b"application/json")


async def _send(send: Send, answer: Answer, request_id: str) -> None:
    headers = [(b"x-request-id", request_id.encode()), (b"content-length", str(len(answer.body)).encode())]
    if answer.body:
        headers.append(_JSON)
    headers.extend((name.lower().encode(), value.encode()) for name, value in answer.headers.items())
    if answer.status == HTTPStatus.NO_CONTENT:
        del headers[1]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
