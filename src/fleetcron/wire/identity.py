"""What every word of the identity API is made of: names, links, times, faults and rows of the table of operations."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypedDict

import msgspec

from fleetcron.wire.fields import Id
from fleetcron.wire.operation import Dialect, Operation


class ByName(msgspec.Struct, frozen=True, kw_only=True):
    """A list's filter: this name alone."""

    name: Id | None = None


class Confidential(msgspec.Struct, frozen=True, kw_only=True):
    """Something that may hold a secret: its repr says nothing, for a repr ends in logs."""

    def __repr__(self) -> str:
        """Name the type alone."""
        return f"{type(self).__name__}(…)"


class Named(TypedDict):
    """Something by id and name."""

    id: str
    name: str


class NamedInDomain(Named):
    """Something by id and name, with the account that it is in."""

    domain: Named


class Links(TypedDict):
    """Where the thing is, and its neighbours, of which there are none."""

    self: str
    next: str | None
    previous: str | None


class FaultRecord(TypedDict):
    """What went wrong; ``code`` is the status again, ``title`` its phrase."""

    code: int
    message: str
    title: str


class FaultAnswer(TypedDict):
    """An error in Keystone's shape."""

    error: FaultRecord


def say_links(url: str) -> Links:
    """Where this is; lists are never cut into pages."""
    return {"self": url, "next": None, "previous": None}


def say_instant(instant: datetime) -> str:
    """``2020-01-04T09:05:22.701000Z``: UTC, kept to the millisecond, written to the microsecond."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "000Z"


def operation(id: str, method: str, path: str, summary: str, **more: Any) -> Operation:  # noqa: A002, ANN401  (the row's own names)
    """A row of the table for an operation of the identity API, where an error's code is its status."""
    faults = {status: str(status) for status in (400, 401, 403, 404, 405, 409, 500, 503)}
    return Operation(
        id=id,
        method=method,
        path=path,
        summary=summary,
        faults=faults,
        dialect=Dialect.IDENTITY,
        **{"tag": "Sign-in"} | more,
    )
