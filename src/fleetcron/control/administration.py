"""Where control asks whether a caller may see to an account's users, keys, groups and policies, and changes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fleetcron.domain.access import Caller, Deny, Permission, decide
from fleetcron.errors import Forbidden
from fleetcron.store.database import Database, Transaction

TURN = "identity"


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


@contextmanager
def changing(database: Database) -> Iterator[Transaction]:
    """A transaction that changes who may come in or what they may: one at a time, on whatever node.

    What it looks up before it writes holds until it ends: that an administrator is left, that a name is free.
    """
    with database.transaction() as tx:
        tx.take_turn(TURN)
        yield tx
