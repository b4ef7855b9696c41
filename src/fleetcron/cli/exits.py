"""With what a command ends: the exit codes, and the failure that carries one."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Exit(IntEnum):
    """What a script may rely on; docs/cli.md lists them."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNAUTHENTICATED = 3
    FORBIDDEN = 4
    NOT_FOUND = 5
    REFUSED = 6
    UNAVAILABLE = 7


class Failure(Exception):
    """The command cannot go on; the message is for people, on standard error."""

    def __init__(self, code: Exit, message: str) -> None:
        super().__init__(message)
        self.code = code


class Misuse(Failure):
    """The command line itself cannot be meant: an option is missing, does not go with another, or cannot be read."""

    def __init__(self, message: str) -> None:
        super().__init__(Exit.USAGE, message)


def exit_of(status: int) -> Exit:
    """The exit code for an HTTP status that is no success."""
    if status >= _SERVER_FAULTS:
        return Exit.UNAVAILABLE
    return _EXITS.get(status, Exit.REFUSED)


_SERVER_FAULTS: Final = 500
# Throttled is, as with a service that is down, a matter of trying again later.
_EXITS: Final = {401: Exit.UNAUTHENTICATED, 403: Exit.FORBIDDEN, 404: Exit.NOT_FOUND, 429: Exit.UNAVAILABLE}
