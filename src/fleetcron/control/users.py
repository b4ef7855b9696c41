"""The users of an account: found, added, and changed without locking everybody out."""

from __future__ import annotations

import msgspec

from fleetcron.domain.access import USERS_MAX, Caller, User
from fleetcron.errors import Conflict, NotFound
from fleetcron.store import access as store
from fleetcron.store.database import Transaction


def own(tx: Transaction, caller: Caller, user_id: str) -> User:
    """A user of the caller's account.

    Raises:
        NotFound: the account has no such user.
    """
    user = store.find_user(tx, user_id)
    if user is None or user.account_id != caller.account_id:
        raise NotFound("user", user_id)
    return user


def add(tx: Transaction, user: User) -> None:
    """Write down a new user.

    Raises:
        Conflict: the account has a user of this name, or as many as it may.
    """
    if store.count_users(tx, user.account_id) >= USERS_MAX:
        raise Conflict(f"The account has {USERS_MAX} users, which is the most it may have.")
    if not store.insert_user(tx, user):
        raise Conflict(f"The account already has a user named {user.name}.")


def change(tx: Transaction, user: User, changes: dict[str, object]) -> User:
    """Change some of a user's fields. A new password or a disabling ends all that was issued to it for a while.

    Raises:
        Conflict: it would disable the account's last administrator.
    """
    if changes.get("enabled") is False:
        keep_an_administrator(tx, user)
    changed = msgspec.structs.replace(user, **changes)
    store.update_user(tx, changed)
    if "password_hash" in changes or changes.get("enabled") is False:
        store.revoke_tokens(tx, user.user_id)
        store.revoke_temporary_keys(tx, user.user_id)
    return changed


def keep_an_administrator(tx: Transaction, leaving: User) -> None:
    """Refuse to let the last one go: nobody could let anybody in again.

    Raises:
        Conflict: it is the last one.
    """
    stands = leaving.administrator and leaving.enabled
    if stands and store.count_administrators(tx, leaving.account_id) == 1:
        raise Conflict(f"User {leaving.name} is the account's last administrator.")
