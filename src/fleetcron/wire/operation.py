"""What a row of the table of operations says."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from fleetcron.domain.access import Permission


class Dialect(StrEnum):
    """Whose shape the errors of an operation have: the Workspace service's or Keystone's."""

    WORKSPACE = "workspace"
    IDENTITY = "identity"


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One operation of the API: everything that routes, authorisation and the OpenAPI document need to know.

    ``path`` has its parameters in braces. ``query``, ``body`` and ``answer`` are types that msgspec reads and
    describes, None where there is none. ``action`` is set where the vendor has a narrower action than the permission
    that is asked. ``faults`` maps each documented error status to its error code. ``open_to_all`` needs no credentials.
    """

    id: str
    method: str
    path: str
    summary: str
    tag: str
    permission: Permission | None = None
    action: str | None = None
    query: Any = None
    body: Any = None
    answer: Any = None
    success: int = 200
    faults: Mapping[int, str] = {}
    dialect: Dialect = Dialect.WORKSPACE
    open_to_all: bool = False
