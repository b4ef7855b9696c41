"""What every word of the identity API is made of: names, links, times and faults, as Keystone writes them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypedDict

import msgspec


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
