"""What is operated on: servers, the groups they stand in, and the endpoints that reach them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec

DEFAULT_SITE = "default"

Token = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,32}\Z")]
"""A name that may stand in the subjects of the message engine."""


class Power(StrEnum):
    """What a server was last seen doing."""

    ON = "ON"
    OFF = "OFF"
    TRANSITION = "TRANSITION"
    UNKNOWN = "UNKNOWN"


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """One machine of a project: ``handle`` is its name at the ``endpoint`` whose driver reaches it."""

    server_id: str
    project_id: str
    name: str
    group_id: str | None
    endpoint: str
    handle: str
    created_at: datetime
    updated_at: datetime


class ServerGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A named set of servers; a task that names it acts on whoever is in it when the task fires."""

    group_id: str
    project_id: str
    name: str
    created_at: datetime
    updated_at: datetime


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine must know of an endpoint: which workers reach it, and how much it bears at once."""

    name: str
    driver: str
    site: str
    concurrency_max: int


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The way to some servers: a driver's name and that driver's own settings.

    Workers of its ``site`` reach it, and no others.
    """

    name: str
    driver: Token
    site: Token = DEFAULT_SITE
    concurrency_max: Annotated[int, msgspec.Meta(ge=1)] = 50
    settings: dict[str, object] = {}

    def reach(self) -> Reach:
        """What may be known of it outside of its site."""
        return Reach(name=self.name, driver=self.driver, site=self.site, concurrency_max=self.concurrency_max)
