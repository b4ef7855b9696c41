"""Entries of the audit log for tests: complete, plausible, and different only in what a test says."""

from __future__ import annotations

import msgspec

from builders import NOW, after
from fleetcron.domain.audit import AuditEntry, AuditRecord, Outcome


def an_entry(seconds: float = 0, **fields: object) -> AuditEntry:
    """A task of p1 that ada deleted so many seconds after NOW, unless ``fields`` say otherwise."""
    entry = AuditEntry(
        at=NOW if seconds == 0 else after(seconds),
        user_id="id-of-ada",
        user_name="ada",
        account_id="default",
        project_id="p1",
        source="192.0.2.7",
        operation="DeleteScheduleTask",
        action="workspace:scheduledTasks:delete",
        resource="/v1/p1/schedule-task/t1",
        status=200,
        decision=Outcome.ALLOWED,
        policy="account",
        reason=None,
        request_id="0123",
    )
    return msgspec.structs.replace(entry, **fields)


def a_refusal(seconds: float = 0, **fields: object) -> AuditEntry:
    """The same, refused."""
    refused = {"decision": Outcome.DENIED, "status": 403, "policy": None, "reason": "Not allowed."}
    return an_entry(seconds, **(refused | fields))


def a_record(record_id: int = 1, **fields: object) -> AuditRecord:
    """The entry of NOW as it was written."""
    return AuditRecord(**(msgspec.structs.asdict(an_entry()) | fields), record_id=record_id)
