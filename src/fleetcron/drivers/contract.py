"""What a driver is: the few calls by which a worker operates on servers that it cannot see.

A driver reports what it observes and what it was told; it decides nothing. Whether a server may be
operated on, whether an end is proven and whether anything is sent again is the worker's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from fleetcron.domain.execution import Evidence
from fleetcron.domain.fleet import Power
from fleetcron.domain.task import TaskType
from fleetcron.errors import DriverError


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a driver can do.

    ``task_types``: the operations it knows. ``counts_users``: its observations say how many people use
    a server. ``marks_boots``: its observations carry a boot marker, so that a restart can be proven.
    ``notifies``: ``notify`` reaches the people on a server. ``bulk_max``: how many servers one question may be about.
    ``acts_within_seconds``: how long after it was told a server may still be unchanged and act on it later.
    """

    task_types: frozenset[TaskType]
    counts_users: bool = False
    marks_boots: bool = False
    notifies: bool = False
    bulk_max: int = 1_000
    acts_within_seconds: float = 0.0


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of one server in one look.

    ``busy``: the server is in the middle of an operation of anyone's. ``boot_marker``: a text that differs
    after every boot, None if unknown. ``users``: people using it, None if that cannot be told (never 0 for that).
    """

    power: Power
    busy: bool = False
    boot_marker: str | None = None
    users: int | None = None


class Progress(StrEnum):
    """How far a submitted operation has come."""

    PENDING = "PENDING"
    DONE = "DONE"
    FAILED = "FAILED"


class Poll(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to "how far is this ticket": ``evidence`` with DONE, ``reason`` with FAILED."""

    progress: Progress
    evidence: Evidence | None = None
    reason: str | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One operation on one server.

    ``request_id`` is another for every send that is written down, for servers that can deduplicate.
    ``forced`` asks for the hard form (power cut) instead of the graceful one.
    ``boot_marker`` is what was observed and recorded before the request.
    """

    request_id: str
    task_type: TaskType
    handle: str
    forced: bool
    boot_marker: str | None


class Driver(Protocol):
    """Operates the servers of one endpoint. Every call may raise a ``DriverError``; none may block the loop.

    A ticket is a text from which ``poll`` can go on in another process after a crash.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What this driver can do; constant once it is open."""
        ...

    async def observe(self, handles: Sequence[str]) -> Mapping[str, Observation | DriverError]:
        """Look at many servers at once; a server that cannot be seen has its ``DriverError`` instead."""
        ...

    async def submit(self, request: Request) -> str:
        """Tell the server, once, and return the ticket.

        Raises:
            Retryable, Busy, Permanent: nothing was done.
            Indeterminate: it may have been done.
        """
        ...

    async def poll(self, tickets: Sequence[str]) -> Mapping[str, Poll | DriverError]:
        """Say how far many tickets have come; one that cannot be asked now has its ``DriverError`` instead."""
        ...

    async def notify(self, handle: str, text: str) -> None:
        """Tell the people who use a server; only called where ``capabilities.notifies``."""
        ...

    async def aclose(self) -> None:
        """Let go of connections and processes' pipes; running operations are not cancelled."""
        ...
