"""What workers and the fleet say to one another over the socket: a question and an answer, one JSON line each."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from fleetcron.drivers.contract import Observation, Poll, Request
from fleetcron.errors import Busy, DriverError, Indeterminate, Permanent, Retryable

ERRORS: Final[dict[str, type[DriverError]]] = {
    kind.__name__: kind for kind in (Retryable, Busy, Permanent, Indeterminate)
}


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a driver's, by the process ``worker``; ``keys`` are handles to look at or tickets to ask after."""

    number: int
    worker: int
    endpoint: str
    verb: Literal["observe", "submit", "poll", "notify"]
    keys: tuple[str, ...] = ()
    request: Request | None = None
    text: str = ""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A ``DriverError`` on its way."""

    kind: str
    reason: str

    def error(self) -> DriverError:
        """The error itself."""
        return ERRORS[self.kind](self.reason)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the question with this number; a key has its refusal where it has nothing else."""

    number: int
    seen: dict[str, Observation] = {}
    polls: dict[str, Poll] = {}
    ticket: str | None = None
    refused: dict[str, Refusal] = {}


def refusal(error: DriverError) -> Refusal:
    """The error, to be sent."""
    return Refusal(kind=type(error).__name__, reason=error.reason)
