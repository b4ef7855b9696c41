"""The service as the commands reach it: operations by their id, out of the same table that the service serves."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx
import msgspec

from fleetcron.cli.exits import Exit, Failure, Misuse, exit_of
from fleetcron.cli.options import Stretch
from fleetcron.wire.fields import PAGE_MAX
from fleetcron.wire.operation import Operation
from fleetcron.wire.operations import OPERATIONS

TIMEOUT_SECONDS = 60.0

PAGES_MAX = 1000
"""Pages that one command fetches; what lies behind them has to be asked for with an offset."""

_OPERATIONS: Final = {operation.id: operation for operation in OPERATIONS}
_PARAMETER: Final = re.compile(r"\{(\w+)\}")


class Unreachable(Failure):
    """No answer came: the same again may work later."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A successful answer: its body as it came (empty for none), and its headers."""

    body: bytes
    headers: Mapping[str, str]

    def read(self) -> Any:  # noqa: ANN401  (whatever JSON the operation answers)
        """The body as Python values."""
        return msgspec.json.decode(self.body)


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a list, its items as they came; ``count`` is the number of all."""

    count: int
    items: list[msgspec.Raw]


class Client:
    """Calls operations of one service as one caller, in one project.

    ``project_id`` None is found out when it is first needed: the first project of the caller's account.
    """

    def __init__(self, http: httpx.Client, project_id: str | None) -> None:
        self._http = http
        self._project_id = project_id

    def call(
        self,
        operation_id: str,
        *ids: str,
        query: Mapping[str, object] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Call an operation; ``ids`` fill its path after the project. Empty and None query values are left out.

        Raises:
            Unreachable: the service does not answer.
            Failure: it answers with an error; says the API's code, message and request id.
        """
        operation = _OPERATIONS[operation_id]
        path = self._path(operation, ids)
        asked = {name: str(value) for name, value in (query or {}).items() if value not in (None, "")}
        sent = {"Content-Type": "application/json"} if body is not None else {}
        content = msgspec.json.encode(body) if body is not None else b""
        try:
            response = self._http.request(
                operation.method, path, params=asked, content=content, headers={**sent, **(headers or {})}
            )
        except httpx.TransportError as error:
            raise Unreachable(
                Exit.UNAVAILABLE, f"the service at {self._http.base_url} does not answer: {error}"
            ) from error
        if response.status_code != operation.success:
            raise _failure(response)
        return Reply(body=response.content, headers=response.headers)

    def listing(
        self, operation_id: str, *ids: str, stretch: Stretch, query: Mapping[str, object] | None = None
    ) -> Reply:
        """Fetch a stretch of a list; all of it comes as if it were one page, of PAGES_MAX full ones at most.

        Raises:
            Unreachable, Failure: as in ``call``.
        """
        query = query or {}
        if not stretch.all:
            asked = {**query, "offset": stretch.offset, "limit": stretch.limit}
            return self.call(operation_id, *ids, query=asked)
        count, items = 0, []
        for page in self._pages(operation_id, *ids, query=query, offset=stretch.offset):
            count = page.count
            items += page.items
        return Reply(body=msgspec.json.encode(Page(count=count, items=items)), headers={})

    def project(self) -> str:
        """The project in which operations are called."""
        if self._project_id is None:
            projects = self.call("KeystoneListAuthProjects").read()["projects"]
            if not projects:
                raise Failure(Exit.NOT_FOUND, "your account has no project; name one with --project")
            self._project_id = str(projects[0]["id"])
        return self._project_id

    def _path(self, operation: Operation, ids: tuple[str, ...]) -> str:
        if not all(ids):
            raise Misuse("an id must not be empty")
        rest = iter(ids)
        return _PARAMETER.sub(
            lambda parameter: quote(self.project() if parameter[1] == "project_id" else next(rest), safe=""),
            operation.path,
        )

    def _pages(self, operation_id: str, *ids: str, query: Mapping[str, object], offset: int) -> Iterator[Page]:
        for number in range(PAGES_MAX):
            stretch = {"offset": offset + number * PAGE_MAX, "limit": PAGE_MAX}
            page = msgspec.json.decode(self.call(operation_id, *ids, query={**query, **stretch}).body, type=Page)
            yield page
            if len(page.items) < PAGE_MAX:
                return


class _Fault(msgspec.Struct, frozen=True, kw_only=True):
    """An error in any of the shapes that the API has: Workspace's, or Keystone's inside ``error``."""

    error_code: str = ""
    error_msg: str = ""
    code: int | str = ""
    message: str = ""
    error: _Fault | None = None


def _failure(response: httpx.Response) -> Failure:
    """Say an error answer in one line."""
    try:
        fault = msgspec.json.decode(response.content, type=_Fault)
    except (msgspec.DecodeError, UnicodeDecodeError):
        fault = _Fault(error_msg=response.text[:_TEXT_LENGTH_MAX] or response.reason_phrase)
    fault = fault.error or fault
    code = fault.error_code or str(fault.code or response.status_code)
    message = fault.error_msg or fault.message
    request_id = response.headers.get("x-request-id", "none")
    return Failure(
        exit_of(response.status_code), f"{code}: {message} (HTTP {response.status_code}, X-Request-Id {request_id})"
    )


_TEXT_LENGTH_MAX = 300
