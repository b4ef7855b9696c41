"""What the deeds of the identity API have in common: how they answer, and where the caller thinks that it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec
from msgspec import UnsetType

from fleetcron.web.call import Answer, Call

Told = TypeVar("Told")


def answer(body: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """A body as JSON."""
    return Answer(status=status, body=msgspec.json.encode(body), headers=headers or {})


def base(call: Call) -> str:
    """The service's address as the caller knows it."""
    return f"{call.scheme}://{call.headers.get('host', 'localhost')}"


def told(value: Told | UnsetType) -> Told | None:
    """The value that was sent, None where there was none."""
    return None if isinstance(value, UnsetType) else value
