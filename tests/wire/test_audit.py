"""The audit log on the wire: what can be asked for, and what a record says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from builders import NOW
from fleetcron.domain.audit import PAGE_MAX, AuditFilter, AuditPage, AuditRecord, Outcome
from fleetcron.errors import Invalid
from fleetcron.wire.audit import COLUMNS, OPERATIONS, AuditQuery, AuditRecordSaid, Decision, say_page
from fleetcron.wire.fields import read_query
from records import a_record


def test_nothing_asked_for_is_everything() -> None:
    query = read_query({}, AuditQuery)
    assert query.only() == AuditFilter()
    assert (query.marker, query.limit) == (None, PAGE_MAX)


def test_all_that_can_be_asked_for_is_read() -> None:
    asked = {"since": "2026-03-01T13:00:00+01:00", "until": "2026-03-02T00:00:00Z", "user": "ada"}
    query = read_query({**asked, "operation": "ShowUser", "marker": "7", "limit": "5"}, AuditQuery)
    only = query.only()
    assert only.since == datetime(2026, 3, 1, 13, tzinfo=timezone(timedelta(hours=1)))
    assert only.until == datetime(2026, 3, 2, tzinfo=UTC)
    assert (only.user, only.operation, query.marker, query.limit) == ("ada", "ShowUser", 7, 5)


@pytest.mark.parametrize(
    ("decision", "meant"),
    [
        ("allowed", (Outcome.ALLOWED,)),
        ("denied", (Outcome.DENIED,)),
        ("unauthenticated", (Outcome.UNAUTHENTICATED,)),
        ("refused", (Outcome.DENIED, Outcome.UNAUTHENTICATED)),
    ],
)
def test_a_decision_is_asked_for_by_its_name(decision: str, meant: tuple[Outcome, ...]) -> None:
    assert read_query({"decision": decision}, AuditQuery).only().decisions == meant


def test_every_outcome_can_be_asked_for() -> None:
    assert set(Outcome) < set(Decision)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("since", "yesterday"),
        ("since", "2026-03-01T12:00:00"),
        ("until", "2026-03-01"),
        ("until", "0.5"),
        ("until", "0001-01-01T00:00:00+08:00"),
        ("user", ""),
        ("user", "x" * 129),
        ("operation", "x" * 129),
        ("decision", "perhaps"),
        ("marker", "0"),
        ("marker", str(2**63)),
        ("limit", "0"),
        ("limit", str(PAGE_MAX + 1)),
    ],
)
def test_what_is_wrong_with_a_question_is_named(field: str, text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        read_query({field: text}, AuditQuery).only()
    assert refusal.value.field == field


def test_a_record_says_all_that_was_written() -> None:
    answer = say_page(AuditPage(records=[a_record(3)], next_before=3))
    assert answer == {
        "records": [
            {
                "id": 3,
                "time": "2026-03-01T12:00:00.000000Z",
                "user_id": "id-of-ada",
                "user_name": "ada",
                "domain_id": "default",
                "project_id": "p1",
                "source": "192.0.2.7",
                "operation": "DeleteScheduleTask",
                "action": "workspace:scheduledTasks:delete",
                "resource": "/v1/p1/schedule-task/t1",
                "status": 200,
                "decision": "allowed",
                "policy": "account",
                "reason": None,
                "request_id": "0123",
            }
        ],
        "next_marker": 3,
    }
    assert len(answer["records"][0]) == len(msgspec.structs.fields(AuditRecord))


def test_the_last_page_has_no_next() -> None:
    assert (
        msgspec.json.encode(say_page(AuditPage(records=[], next_before=None))) == b'{"records":[],"next_marker":null}'
    )


def test_every_column_is_a_field_of_a_record() -> None:
    assert {column.field for column in COLUMNS} <= set(AuditRecordSaid.__annotations__)


def test_the_log_is_for_who_manages_the_account() -> None:
    (operation,) = OPERATIONS
    assert operation.permission == "iam:*:*"
    assert not operation.open_to_all


def test_times_are_said_in_utc() -> None:
    at = NOW.astimezone(timezone(timedelta(hours=8)))
    (record,) = say_page(AuditPage(records=[a_record(at=at)], next_before=None))["records"]
    assert record["time"] == "2026-03-01T12:00:00.000000Z"
