"""Errors as the wire says them, in both dialects."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcron.errors import Conflict, Forbidden, Invalid, NotFound, StaleToken, Unauthenticated
from fleetcron.wire.faults import say_fault, say_reason
from fleetcron.wire.operation import Dialect

WORKSPACE, IDENTITY = Dialect.WORKSPACE, Dialect.IDENTITY


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Invalid("interval_days", "must be from 1 to 31"), "The parameter is invalid: day_interval must be from 1 to"),
        (Invalid("limit", "is not valid"), "The parameter is invalid: limit is not valid."),
        (Unauthenticated("decrypt token fail"), "Incorrect IAM authentication information: decrypt token fail"),
        (StaleToken("over"), "The token must be updated."),
        (Forbidden("User ada may not."), "User ada may not."),
        (NotFound("task", "t-1"), "The scheduled task t-1 does not exist."),
        (NotFound("execution", "e-1"), "The scheduled task execution e-1 does not exist."),
        (NotFound("server", "s-1"), "The server s-1 does not exist."),
        (Conflict("It runs."), "It runs."),
    ],
)
def test_the_workspace_dialect_says_the_field_and_the_reason(error: Exception, said: str) -> None:
    assert say_reason(error, WORKSPACE).startswith(said)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Invalid("auth.identity", "is required"), "The request body is invalid: auth.identity is required."),
        (Unauthenticated("The username or password is wrong."), "The username or password is wrong."),
        (StaleToken("over"), "The token must be updated."),
        (NotFound("X-Subject-Token", "in the request"), "X-Subject-Token is invalid in the request"),
        (NotFound("user", "u-1"), "user u-1 does not exist."),
    ],
)
def test_the_identity_dialect_says_it_as_keystone_does(error: Exception, said: str) -> None:
    assert say_reason(error, IDENTITY) == said


def test_a_workspace_fault_has_two_fields() -> None:
    body = say_fault(WORKSPACE, 404, "WKS.00211902", "gone")
    assert msgspec.json.decode(body) == {"error_code": "WKS.00211902", "error_msg": "gone"}


def test_an_identity_fault_has_keystones_shape() -> None:
    body = say_fault(IDENTITY, 401, "401", "who?")
    assert msgspec.json.decode(body) == {"error": {"code": 401, "message": "who?", "title": "Unauthorized"}}


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_message_is_never_longer_than_the_sdks_take(message: str) -> None:
    said = msgspec.json.decode(say_fault(WORKSPACE, 400, "WKS.00211102", message))
    assert 1 <= len(said["error_msg"]) <= 255
