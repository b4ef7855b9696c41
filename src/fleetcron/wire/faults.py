"""Errors as the wire says them: the Workspace service's shape, and Keystone's."""

from __future__ import annotations

from http import HTTPStatus
from typing import TypedDict

import msgspec

from fleetcron.domain.execution import short
from fleetcron.errors import Invalid, NotFound, StaleToken, Unauthenticated
from fleetcron.wire.identity import FaultAnswer
from fleetcron.wire.operation import Dialect
from fleetcron.wire.schedules import NAMES

NO_SUCH_API = "APIGW.0101"
TOO_LARGE = "APIGW.0201"
STALE_TOKEN = "APIGW.0307"  # noqa: S105  (an error code)

_NOUNS = {"task": "scheduled task", "execution": "scheduled task execution"}


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
    match error:
        case Invalid():
            field = error.field if dialect is Dialect.IDENTITY else NAMES.get(error.field, error.field)
            return (
                f"The request body is invalid: {field} {error.reason}."
                if dialect is Dialect.IDENTITY
                else (f"The parameter is invalid: {field} {error.reason}.")
            )
        case StaleToken():
            return "The token must be updated."
        case Unauthenticated() if dialect is Dialect.WORKSPACE:
            return f"Incorrect IAM authentication information: {error.reason}"
        case NotFound() if dialect is Dialect.WORKSPACE:
            return f"The {_NOUNS.get(error.noun, error.noun)} {error.key} does not exist."
        case NotFound():
            return f"{error.noun} is invalid in the request" if error.noun.startswith("X-") else f"{error}."
        case _:
            return str(error)
