"""Where control asks whether a caller may do something in a project."""

from __future__ import annotations

from fleetcron.domain.access import Caller, Deny, Permission, decide
from fleetcron.errors import Forbidden
from fleetcron.store import access
from fleetcron.store.database import Transaction


def authorise(tx: Transaction, caller: Caller, permission: Permission, project_id: str) -> None:
    """Let the caller pass.

    Raises:
        Forbidden: the caller may not do this in the project, or there is no such project.
    """
    # A token's project was looked up when the token was given, and no project changes hands.
    own = caller.project_id == project_id
    account_id = caller.account_id if own else access.owner_of_project(tx, project_id)
    decision = decide(caller, permission, account_id=account_id, project_id=project_id)
    if isinstance(decision, Deny):
        raise Forbidden(decision.reason)
