"""What the audit log says: who did what to which thing, when and from where, and why they could or could not."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

TEXT_LENGTH_MAX = 512
"""Of every text in a record: most of them are written by whoever sends the request."""

PAGE_MAX = 100
"""Records that one page shows."""


class Outcome(StrEnum):
    """What became of a call: it went on, the one who asked may not, or nobody knew who asked.

    What was ALLOWED may still have failed for another reason; the record's ``status`` says so.
    """

    ALLOWED = "allowed"
    DENIED = "denied"
    UNAUTHENTICATED = "unauthenticated"


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One call, as it is handed to the log. Nothing of its body or headers is in it.

    Who asked is None where that is not known; ``project_id`` where the call is about the account. ``source`` is the
    address that the call came from. ``action`` is what a policy would have to allow, ``resource`` the path that was
    asked for, ``status`` what HTTP answered, ``policy`` what decided, if one did, ``reason`` why it was refused.
    """

    at: datetime
    user_id: str | None
    user_name: str | None
    account_id: str | None
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


class AuditRecord(AuditEntry, frozen=True, kw_only=True):
    """An entry that has been written: ``record_id`` counts up by one, in the order of writing."""

    record_id: int


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which records are meant: all that ``since`` (included), ``until`` (excluded) and the rest let through.

    None, and no ``decisions``, let everything through. ``user`` is a user's name or id.
    """

    since: datetime | None = None
    until: datetime | None = None
    user: str | None = None
    operation: str | None = None
    decisions: tuple[Outcome, ...] = ()


class AuditPage(msgspec.Struct, frozen=True, kw_only=True):
    """Records, newest first; ``next_before`` is the id before which the next page goes on, None at the end.

    Where little of much is asked for, a page may be short or empty and yet not be the last one.
    """

    records: list[AuditRecord]
    next_before: int | None
