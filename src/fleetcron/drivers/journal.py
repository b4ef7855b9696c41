"""The memory of a simulated fleet: every fact of its world, one JSON line each, in the order in which it happened.

The page cache outlives a killed process, so nothing here is synced to the disk: the world survives
kill -9, not a power cut.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from fleetcron.domain.fleet import Power
from fleetcron.domain.task import TaskType
from fleetcron.drivers.contract import Observation, Request
from fleetcron.drivers.machine import Operation
from fleetcron.errors import DriverError, Retryable

ACCEPTED = "accepted"


class Fact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that happened to one server at ``at`` (seconds since 1970, UTC).

    ``answer``: ``accepted``, or the name of the ``DriverError`` that the caller got. An accepted submit has
    its ``ordinal`` among the server's requests and its fate: over at ``ends_at`` (None: never), and ``fails`` or not.
    ``boot_marker`` is the request's in a submit, the server's in an observation.
    """

    at: float
    verb: Literal["observe", "submit", "notify"]
    handle: str
    answer: str
    request_id: str | None = None
    task_type: TaskType | None = None
    forced: bool = False
    ordinal: int = 0
    ends_at: float | None = None
    fails: bool = False
    boot_marker: str | None = None
    power: Power | None = None
    busy: bool = False
    users: int | None = None
    text: str | None = None


class Journal:
    """An append-only file of facts that several processes may write and follow at once.

    A last line that was torn is cut off when the file is opened: what it told never happened.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._offset = 0
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(Fact)
        _cut_torn_line(self._fd)

    def append(self, facts: Iterable[Fact]) -> None:
        """Write facts down together, in one system call.

        Raises:
            Retryable: they could not be written, so they did not happen.
        """
        lines = self._encoder.encode_lines(facts)
        try:
            written = os.write(self._fd, lines)
        except OSError as error:
            raise Retryable(f"the simulated world cannot be written down: {error.strerror}") from error
        if written < len(lines):
            _cut_torn_line(self._fd)
            raise Retryable("the simulated world cannot be written down: the disk is full")

    def read_on(self) -> list[Fact]:
        """Read the facts that were written since the last call, by this process or another; all of them at first."""
        size = os.fstat(self._fd).st_size
        if size <= self._offset:
            return []
        unread = os.pread(self._fd, size - self._offset, self._offset)
        complete = unread[: unread.rfind(b"\n") + 1]
        self._offset += len(complete)
        return self._decoder.decode_lines(complete)

    def close(self) -> None:
        """Let go of the file; may be called again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def answer(error: DriverError | None) -> str:
    """Name what a caller got: ``accepted``, or which error."""
    return ACCEPTED if error is None else type(error).__name__


def observed(handle: str, seen: Observation | DriverError, now: float) -> Fact:
    """One look at one server, as it was answered."""
    if isinstance(seen, DriverError):
        return Fact(at=now, verb="observe", handle=handle, answer=answer(seen))
    return Fact(
        at=now,
        verb="observe",
        handle=handle,
        answer=ACCEPTED,
        power=seen.power,
        busy=seen.busy,
        boot_marker=seen.boot_marker,
        users=seen.users,
    )


def submitted(
    request: Request, now: float, ordinal: int, error: DriverError | None, operation: Operation | None = None
) -> Fact:
    """One request to one server, as it was answered: with an error, or with the operation that it began."""
    return Fact(
        at=now,
        verb="submit",
        handle=request.handle,
        answer=answer(error),
        request_id=request.request_id,
        task_type=request.task_type,
        forced=request.forced,
        boot_marker=request.boot_marker,
        ordinal=ordinal,
        ends_at=None if operation is None else operation.ends_at,
        fails=operation is not None and operation.fails,
    )


def _cut_torn_line(fd: int) -> None:
    size = end = os.fstat(fd).st_size
    while end and os.pread(fd, 1, end - 1) != b"\n":
        end -= 1
    if end < size:
        os.ftruncate(fd, end)
