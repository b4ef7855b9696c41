"""The audit log on the wire. The path and the words are ours, in the manner of the identity API beside it."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final, TypedDict

import msgspec
from msgspec import Meta

from fleetcron.domain.access import Permission
from fleetcron.domain.audit import PAGE_MAX, AuditFilter, AuditPage, AuditRecord, Outcome
from fleetcron.errors import Invalid
from fleetcron.wire.columns import Column, Shape
from fleetcron.wire.fields import Id
from fleetcron.wire.identity import say_instant
from fleetcron.wire.operation import Dialect, Operation

# Not as an instant: the reader of queries would take any number for one.
Instant = Annotated[
    str, Meta(max_length=64, description="RFC 3339, with its offset.", extra_json_schema={"format": "date-time"})
]


class Decision(StrEnum):
    """What records are asked for by; REFUSED is both of the last two."""

    ALLOWED = "allowed"
    DENIED = "denied"
    UNAUTHENTICATED = "unauthenticated"
    REFUSED = "refused"


class AuditQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which records: from ``since`` on, before ``until``, of this ``user`` (a name or an id) and ``operation``.

    ``marker`` goes on after a page: it is that one's ``next_marker``.
    """

    since: Instant | None = None
    until: Instant | None = None
    user: Id | None = None
    operation: Id | None = None
    decision: Decision | None = None
    marker: Annotated[int, Meta(ge=1, le=2**63 - 1)] | None = None
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = PAGE_MAX

    def only(self) -> AuditFilter:
        """The same in the words of the house.

        Raises:
            Invalid: a time is none.
        """
        return AuditFilter(
            since=_instant("since", self.since),
            until=_instant("until", self.until),
            user=self.user,
            operation=self.operation,
            decisions=_DECISIONS[self.decision],
        )


class AuditRecordSaid(TypedDict):
    """One call. ``domain_id`` is the account's; ``status`` is what HTTP answered, 0 in a record of no single call."""

    id: int
    time: str
    user_id: str | None
    user_name: str | None
    domain_id: str | None
    project_id: str | None
    source: str
    operation: str
    action: str | None
    resource: str
    status: int
    decision: Outcome
    policy: str | None
    reason: str | None
    request_id: str


class AuditAnswer(TypedDict):
    """A page, newest first. It may be short, even empty, while ``next_marker`` is there; null is the end."""

    records: list[AuditRecordSaid]
    next_marker: int | None


def say_page(page: AuditPage) -> AuditAnswer:
    """One page."""
    return {"records": [_say(record) for record in page.records], "next_marker": page.next_before}


COLUMNS: Final = (
    Column("Time (UTC)", "time", Shape.INSTANT),
    Column("User", "user_name", Shape.TEXT),
    Column("Operation", "operation"),
    Column("Decision", "decision"),
    Column("Status", "status", Shape.NUMBER),
    Column("Source", "source"),
    Column("Policy", "policy", Shape.TEXT),
    Column("Reason", "reason", Shape.TEXT),
    Column("Resource", "resource", Shape.TEXT),
    Column("Request", "request_id"),
)

LIST: Final = "ListAuditRecords"

OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        id=LIST,
        method="GET",
        path="/v3/audit-records",
        summary="List what was changed and what was refused, newest first",
        tag="Audit",
        permission=Permission.MANAGE_ACCESS,
        query=AuditQuery,
        answer=AuditAnswer,
        faults={status: str(status) for status in (400, 401, 403, 404, 405, 429, 500, 503)},
        dialect=Dialect.IDENTITY,
    ),
)

_DECISIONS: Final[dict[Decision | None, tuple[Outcome, ...]]] = {
    None: (),
    Decision.ALLOWED: (Outcome.ALLOWED,),
    Decision.DENIED: (Outcome.DENIED,),
    Decision.UNAUTHENTICATED: (Outcome.UNAUTHENTICATED,),
    Decision.REFUSED: (Outcome.DENIED, Outcome.UNAUTHENTICATED),
}


def _instant(field: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        instant: datetime = msgspec.convert(text, Annotated[datetime, Meta(tz=True)])
        return instant.astimezone(UTC)
    except (msgspec.ValidationError, OverflowError) as error:
        raise Invalid(field, "must be a time such as 2026-01-31T03:30:00Z") from error


def _say(record: AuditRecord) -> AuditRecordSaid:
    return {
        "id": record.record_id,
        "time": say_instant(record.at),
        "user_id": record.user_id,
        "user_name": record.user_name,
        "domain_id": record.account_id,
        "project_id": record.project_id,
        "source": record.source,
        "operation": record.operation,
        "action": record.action,
        "resource": record.resource,
        "status": record.status,
        "decision": record.decision,
        "policy": record.policy,
        "reason": record.reason,
        "request_id": record.request_id,
    }
