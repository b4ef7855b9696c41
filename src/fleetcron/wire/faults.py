"""Errors as the wire says them: the Workspace service's shape, and Keystone's."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, TypedDict

import msgspec

from fleetcron.domain.execution import short
from fleetcron.errors import Invalid, NotFound, StaleToken, Throttled, Unauthenticated, Unavailable
from fleetcron.wire.identity import FaultAnswer
from fleetcron.wire.operation import Dialect
from fleetcron.wire.schedules import NAMES

NO_SUCH_API = "APIGW.0101"
TOO_LARGE = "APIGW.0201"
STALE_TOKEN = "APIGW.0307"  # noqa: S105  (an error code)

THROTTLED = "APIGW.0308"

_SENTENCES: Final[Mapping[type[Exception], str]] = {
    Unavailable: "The service is now unavailable to process the request.",
    StaleToken: "The token must be updated.",
    Throttled: "The throttling threshold has been reached.",
}
_NOUNS: Final = {"task": "scheduled task", "execution": "scheduled task execution"}


class Fault(TypedDict):
    """The body of every error of the Workspace service."""

    error_code: str
    error_msg: str


def say_fault(dialect: Dialect, status: int, code: str, message: str) -> bytes:
    """An error's body."""
    if dialect is Dialect.IDENTITY:
        told: Fault | FaultAnswer = {"error": {"code": status, "message": message, "title": HTTPStatus(status).phrase}}
    else:
        told = {"error_code": code, "error_msg": short(message)}
    return msgspec.json.encode(told)


def say_reason(error: Exception, dialect: Dialect) -> str:
    """What an error of ours says to the one who asked: the field in the wire's words, the reason, the fix."""
    for kind, sentence in _SENTENCES.items():
        if isinstance(error, kind):
            return sentence
    if dialect is Dialect.IDENTITY:
        return _to_keystone(error)
    match error:
        case Invalid():
            return f"The parameter is invalid: {NAMES.get(error.field, error.field)} {error.reason}."
        case Unauthenticated():
            return f"Incorrect IAM authentication information: {error.reason}"
        case NotFound():
            return f"The {_NOUNS.get(error.noun, error.noun)} {error.key} does not exist."
        case _:
            return str(error)


def _to_keystone(error: Exception) -> str:
    match error:
        case Invalid():
            return f"The request body is invalid: {error.field} {error.reason}."
        case NotFound() if error.noun.startswith("X-"):
            return f"{error.noun} is invalid in the request"
        case NotFound():
            return f"{error}."
        case _:
            return str(error)
