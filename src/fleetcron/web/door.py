"""One path of the API: who asks, what is asked, the deed, and what every error answers."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import secrets
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from http import HTTPStatus
from typing import Final, TypeVar
from urllib.parse import parse_qsl

import msgspec
from starlette.types import Receive, Scope, Send

from fleetcron import errors
from fleetcron.control.authorisation import ASKING, Asking
from fleetcron.domain.audit import Outcome
from fleetcron.web.audit import entry_of
from fleetcron.web.authentication import Gate
from fleetcron.web.call import Answer, Call, Deed, Ground
from fleetcron.wire import faults
from fleetcron.wire.fields import read_body, read_query
from fleetcron.wire.operation import Dialect, Operation
from fleetcron.wire.signature import Request

log = logging.getLogger(__name__)

BODY_BYTES_MAX = 12 * 1024 * 1024
QUERY_FIELDS_MAX = 100
QUERIES_REMEMBERED_MAX = 1024

Query = TypeVar("Query")

_STATUSES: Final[tuple[tuple[type[Exception], int], ...]] = (
    (errors.Invalid, 400),
    (errors.Unauthenticated, 401),
    (errors.Forbidden, 403),
    (errors.NotFound, 404),
    (errors.Conflict, 409),
    (errors.Throttled, 429),
    (errors.Unavailable, 503),
)
# Two of one of these, and nobody can say which of them was meant, or which one a proxy before us has looked at.
_SINGLE: Final = frozenset((b"authorization", b"host", b"x-auth-token", b"x-security-token", b"x-subject-token"))


class Refused(Exception):
    """The request is refused for its HTTP alone, before anything is asked of control."""

    def __init__(self, status: int, code: str, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.code = code
        self.headers = headers or {}


class Door:
    """One path: its operations by method."""

    def __init__(
        self,
        operations: Mapping[str, Operation],
        *,
        deeds: Mapping[str, Deed],
        ground: Ground,
        gate: Gate,
        threads: ThreadPoolExecutor,
    ) -> None:
        self._operations = operations
        self._deeds = deeds
        self._ground = ground
        self._gate = gate
        self._threads = threads
        self._reads_at_once = not ground.reads_wait
        # An error that comes before the method is known speaks like the path's first operation.
        self._first = next(iter(operations.values()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request_id = secrets.token_hex(16)
        operation = self._operations.get(scope["method"], self._first)
        client = scope.get("client")
        asking = Asking(at=self._ground.clock(), source=client[0] if client else "")
        ASKING.set(asking)
        failure: Exception | None = None
        try:
            answer = await self._answer(operation, scope, receive, asking)
        except Exception as error:  # noqa: BLE001  (the door answers whatever happens behind it)
            failure = error
            answer = _fault(operation, error, request_id)
        if failure is not None or operation.method != "GET":
            answer = await self._put_on_record(operation, scope, asking, answer, failure=failure, request_id=request_id)
        if operation.dialect is Dialect.IDENTITY:
            # Tokens and secrets are in them: nobody on the way shall keep a copy.
            answer = msgspec.structs.replace(answer, headers={**answer.headers, "Cache-Control": "no-store"})
        await send_answer(send, answer, request_id)

    async def _answer(self, operation: Operation, scope: Scope, receive: Receive, asking: Asking) -> Answer:
        raw_path: bytes = scope["raw_path"]
        self._refuse_odd(scope["method"], operation, raw_path)
        raw_headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
        headers = _headers(raw_headers)
        body = await _body(receive, headers) if operation.method != "GET" else b""
        if not operation.open_to_all:
            request = Request(
                method=operation.method, path=raw_path, query=scope["query_string"], headers=raw_headers, body=body
            )
            asking.caller = await self._gate.admit(request, headers, asking.at)
        call = Call(
            ground=self._ground,
            caller=asking.caller,
            now=asking.at,
            path=scope["path_params"],
            query=None if operation.query is None else _query(operation.query, scope["query_string"]),
            body=_read(operation, body, headers),
            headers=headers,
            source=asking.source,
            scheme=scope["scheme"],
        )
        deed = self._deeds[operation.id]
        if self._reads_at_once and operation.method == "GET":
            return deed(call)
        # With the context of this request: what control decides is written into its Asking.
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._threads, context.run, deed, call)

    def _refuse_odd(self, method: str, operation: Operation, raw_path: bytes) -> None:
        if operation.method != method:
            allowed = ", ".join(sorted(self._operations))
            reason = f"The method {method} is not allowed for this resource; {allowed} is."
            raise Refused(405, self._first.faults.get(405, ""), reason, {"Allow": allowed})
        if b"%00" in raw_path:
            raise errors.Invalid("path", "must not contain the character NUL")
        if b"%2f" in raw_path.lower():
            # No id of ours has a slash; an encoded one is somebody trying to say two paths at once.
            raise Refused(404, faults.NO_SUCH_API, "The API does not exist.")

    async def _put_on_record(
        self,
        operation: Operation,
        scope: Scope,
        asking: Asking,
        answer: Answer,
        *,
        failure: Exception | None,
        request_id: str,
    ) -> Answer:
        """Write the audit record, where there is one to write; what cannot be put on record is not answered for."""
        if isinstance(failure, Refused):
            return answer
        entry = entry_of(
            operation,
            at=asking.at,
            caller=asking.caller,
            source=asking.source,
            path=scope["path"],
            path_parameters=scope["path_params"],
            status=answer.status,
            error=failure,
            policy=asking.decided_by,
            request_id=request_id,
        )
        if entry is None:
            return answer
        if entry.decision is not Outcome.ALLOWED:
            # It is only queued: a flood of refusals must not stand in line for the threads.
            self._ground.audit.record(entry)
            return answer
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._ground.audit.record, entry)
        except errors.Unavailable as error:
            return _fault(operation, error, request_id)
        return answer


def _headers(raw: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """The headers by name.

    Raises:
        Invalid: one that must be there once is there twice.
    """
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in raw}
    if len(headers) < len(raw):
        names = [name for name, _ in raw]
        for name in _SINGLE.intersection(names):
            if names.count(name) > 1:
                raise errors.Invalid(f"header {name.decode()}", "is given twice")
    return headers


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
    kind = headers.get("content-type", "application/json").partition(";")[0].strip(" \t").lower()
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
    headers: Mapping[str, str] = {}
    if isinstance(error, errors.StaleToken):
        code = faults.STALE_TOKEN
    if isinstance(error, errors.Throttled):
        code, headers = faults.THROTTLED, {"Retry-After": str(math.ceil(error.retry_after_seconds))}
    return Answer(status=status, body=faults.say_fault(operation.dialect, status, code, message), headers=headers)


_JSON = (b"content-type", b"application/json")


async def send_answer(send: Send, answer: Answer, request_id: str) -> None:
    """Send an answer with the headers that every answer has."""
    headers = [(b"x-request-id", request_id.encode()), (b"content-length", str(len(answer.body)).encode())]
    if answer.body:
        headers.append(_JSON)
    headers.extend((name.lower().encode(), value.encode()) for name, value in answer.headers.items())
    if answer.status == HTTPStatus.NO_CONTENT:
        del headers[1]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
