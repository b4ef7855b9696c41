"""The audit log at the doors: what is said of a call, and the operation that shows what was said."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from fleetcron.domain.access import Caller
from fleetcron.domain.audit import AuditEntry, Outcome
from fleetcron.errors import Forbidden, Throttled, Unauthenticated
from fleetcron.web.call import Answer, Call, Deed
from fleetcron.wire.audit import LIST, AuditQuery, say_page
from fleetcron.wire.operation import Operation

READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def list_records(call: Call) -> Answer:
    """A page of the log."""
    query: AuditQuery = call.query
    page = call.ground.audit.page(call.asker, query.only(), before=query.marker, limit=query.limit)
    return Answer(body=msgspec.json.encode(say_page(page)))


DEEDS: Final[Mapping[str, Deed]] = {LIST: list_records}


def entry_of(
    operation: Operation,
    *,
    at: datetime,
    caller: Caller | None,
    source: str,
    path: str,
    path_parameters: Mapping[str, str],
    status: int,
    error: Exception | None,
    policy: str | None,
    request_id: str,
) -> AuditEntry | None:
    """What the audit log says of an answered call; None where there is nothing to say.

    That is a call that only read and was let through, and one that was turned away before anybody asked who sends it:
    for its HTTP alone, or by a limit. ``path`` comes without its query. ``error`` is what authentication or the deed
    raised, ``policy`` what decided. ``caller`` of a sign-in is who has signed in; the name of one who has not is no
    more than what was typed, which may have been the password.
    """
    decision = _decision(error)
    turned_away = isinstance(error, Throttled) or (caller is None and not operation.open_to_all)
    if decision is Outcome.ALLOWED and (operation.method in READING or turned_away):
        return None
    return AuditEntry(
        at=at,
        user_id=None if caller is None else caller.user_id,
        user_name=None if caller is None else caller.user_name,
        account_id=None if caller is None else caller.account_id,
        project_id=path_parameters.get("project_id") or (None if caller is None else caller.project_id),
        source=source,
        operation=operation.id,
        action=operation.action or operation.permission,
        resource=path,
        status=status,
        decision=decision,
        policy=policy,
        # Of what went on and failed, the status is enough: the texts of such errors may quote what was sent.
        reason=error.reason if isinstance(error, Forbidden | Unauthenticated) else None,
        request_id=request_id,
    )


def _decision(error: Exception | None) -> Outcome:
    match error:
        case Unauthenticated():
            return Outcome.UNAUTHENTICATED
        case Forbidden():
            return Outcome.DENIED
        case _:
            return Outcome.ALLOWED
