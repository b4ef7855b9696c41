"""Where control asks whether a caller may do something in a project, and where the answer is written for the audit."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime

from fleetcron.control import policies
from fleetcron.domain import decision
from fleetcron.domain.access import Caller, Deny, Permission, decide
from fleetcron.errors import Forbidden
from fleetcron.store import access
from fleetcron.store.database import Transaction

ROOT = "account"

TASK = "scheduledTask"
SERVER = "server"
SERVER_GROUP = "serverGroup"
EVERY = "*"

Thing = tuple[str, str]
"""What is touched: the type of resource and an id, EVERY for all of the type."""


@dataclass(kw_only=True)
class Asking:
    """One call on its way: what policies may ask of it, and who decided. Whoever takes a call sets ``ASKING``.

    ``caller`` is who asks, once that is known. ``decided_by`` is the policy that allowed or denied, ROOT for the
    account's own right, None before any decision and where nothing allowed it. It is written here, for the audit log
    reads it long after the decision has been made.
    """

    at: datetime
    source: str
    caller: Caller | None = None
    decided_by: str | None = None


ASKING: ContextVar[Asking | None] = ContextVar("ASKING", default=None)


def authorise(tx: Transaction, caller: Caller, permission: Permission, project_id: str, *things: Thing) -> None:
    """Let the caller pass: the account's administrator everywhere, others where their policies say so.

    Raises:
        Forbidden: the caller may not do this to one of these things, or there is no such project.
    """
    asking = ASKING.get()
    if caller.administrator and caller.project_id == project_id:
        # A token's project was looked up when the token was given, and no project changes hands.
        owner, region = caller.account_id, ""
    else:
        owner, region = access.owner_of_project(tx, project_id) or ("", "")
    gate = decide(caller, permission, account_id=owner or None, project_id=project_id)
    if isinstance(gate, Deny):
        raise Forbidden(gate.reason)
    if caller.administrator:
        by: str | None = ROOT
    else:
        question = decision.Question(
            action=permission,
            resources=tuple(f"workspace:{region}:{caller.account_id}:{kind}:{key}" for kind, key in things),
            context=_context(caller, region, asking),
        )
        verdict = decision.decide(policies.of_caller(tx, caller, project_id), question)
        by = verdict.by
        if isinstance(verdict, decision.Denied):
            if asking is not None:
                asking.decided_by = by
            raise Forbidden(decision.sentence(verdict, caller.user_name, question))
    if asking is not None:
        asking.decided_by = by


def _context(caller: Caller, region: str, asking: Asking | None) -> Mapping[str, str]:
    """The condition keys that can be known of a call; the others are unknown to conditions."""
    known = {
        "g:UserId": caller.user_id,
        "g:UserName": caller.user_name,
        "g:DomainId": caller.account_id,
        "g:PrincipalAccount": caller.account_id,
        "g:PrincipalUrn": f"iam::{caller.account_id}:user:{caller.user_name}",
        "g:ProjectName": region,
        "g:ServiceName": "workspace",
        "g:MFAPresent": "false",
    }
    if asking is not None:
        known["g:CurrentTime"] = f"{asking.at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        known["g:SourceIp"] = asking.source
    return known
