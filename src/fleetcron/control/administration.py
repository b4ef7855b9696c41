"""Where control asks whether a caller may see to an account's users, keys, groups and policies."""

from __future__ import annotations

from fleetcron.domain.access import Caller, Deny, Permission, decide
from fleetcron.errors import Forbidden


def require_management(
    caller: Caller, *, account_id: str | None, project_id: str | None = None, user_id: str | None = None
) -> None:
    """Let administrators of the account pass, and users who ask about themselves (``user_id``).

    ``account_id`` None is the owner of a project that does not exist.

    Raises:
        Forbidden: neither of them asks.
    """
    decision = decide(caller, Permission.MANAGE_ACCESS, account_id=account_id, project_id=project_id, user_id=user_id)
    if isinstance(decision, Deny):
        raise Forbidden(decision.reason)
