"""Every way a request or an operation can go wrong, and nothing about HTTP.

::

    FleetcronError
    ├── Invalid            a value that the caller gave cannot be used; names the field
    ├── Unauthenticated    who asks is not known
    │   ├── BadSignature   signed without the secret, or changed on its way
    │   └── StaleToken     the token was good once: sign in again
    ├── Forbidden          who asks is known and may not; carries the reason
    ├── NotFound           the thing asked for is not there, or not to be seen
    ├── Conflict           the thing is in a state that does not allow it
    ├── Throttled          too much was asked at once; the same again will do later
    ├── Unavailable        a part that we stand on does not answer now
    ├── Constrained        a constraint of the database holds against it: somebody else was first
    ├── BadSettings        the service cannot start as it is configured
    └── DriverError        a server could not be operated on
        ├── Retryable      nothing was done; the same again may work
        ├── Busy           the server is in the middle of something else
        ├── Permanent      the same again will fail the same way
        └── Indeterminate  it may or may not have been done: observe before any resend
"""

from __future__ import annotations


class FleetcronError(Exception):
    """The root: catch it to answer anything that fleetcron raises on purpose."""


class Invalid(FleetcronError):
    """A value that the caller gave cannot be used.

    ``field`` is our noun for it inside the house; the wire says it again in its own words.
    ``reason`` reads after the field's name: ``must be from 1 to 31``.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field} {reason}")
        self.field = field
        self.reason = reason


class Unauthenticated(FleetcronError):
    """Who asks is not known: no credentials, or credentials that do not hold."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class StaleToken(Unauthenticated):
    """The token was good once and is over: expired or revoked."""


class BadSignature(Unauthenticated):
    """The request was signed by somebody without the key's secret, or changed on its way."""


class Forbidden(FleetcronError):
    """Who asks is known and may not do this; ``reason`` says who, what and why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotFound(FleetcronError):
    """No ``noun`` with this ``key`` is there for the one who asks."""

    def __init__(self, noun: str, key: str) -> None:
        super().__init__(f"{noun} {key} does not exist")
        self.noun = noun
        self.key = key


class Conflict(FleetcronError):
    """The thing asked for is in a state that does not allow it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Throttled(FleetcronError):
    """Too much was asked at once; nothing was done, and the same again will do after ``retry_after_seconds``."""

    def __init__(self, retry_after_seconds: float) -> None:
        super().__init__(f"too much was asked at once; again in {retry_after_seconds:.3f} s")
        self.retry_after_seconds = retry_after_seconds


class Unavailable(FleetcronError):
    """A part that we stand on (the database, the disk) does not answer now; again later may work."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Constrained(FleetcronError):
    """A constraint of the database holds against what was to be written, and nothing was; ``reason`` names it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BadSettings(FleetcronError):
    """The service cannot start as it is configured; ``where`` names the setting or the file's place."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where}: {reason}")
        self.where = where
        self.reason = reason


class DriverError(FleetcronError):
    """A server could not be operated on; ``reason`` is short enough to be kept with the subtask."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Retryable(DriverError):
    """Nothing was done, and the same again may work after ``retry_after_seconds``."""

    def __init__(self, reason: str, *, retry_after_seconds: float = 1.0) -> None:
        super().__init__(reason)
        self.retry_after_seconds = retry_after_seconds


class Busy(DriverError):
    """The server is in the middle of something else; nothing was done."""


class Permanent(DriverError):
    """The same again will fail the same way: unknown server, refused credentials, no such verb."""


class Indeterminate(DriverError):
    """It may or may not have been done; the server must be observed before anything is sent again."""
