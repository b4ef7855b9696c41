"""Access keys: issued for good or for a while, and checked when somebody signs."""

from __future__ import annotations

import hmac
import secrets
from datetime import datetime, timedelta

import msgspec

from fleetcron.control.administration import require_management
from fleetcron.control.founding import new_pair
from fleetcron.control.tokens import TEXT_BYTES, digest_of
from fleetcron.domain.access import (
    ACCESS_KEYS_MAX,
    TEMPORARY_KEY_SECONDS_MAX,
    TEMPORARY_KEY_SECONDS_MIN,
    TEMPORARY_KEYS_MAX,
    AccessKey,
    Caller,
    Signer,
    TemporaryKey,
    User,
)
from fleetcron.errors import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from fleetcron.store import access as store
from fleetcron.store.database import Transaction
from fleetcron.store.vault import Vault

PURGE_BATCH_MAX = 100


def issue(tx: Transaction, vault: Vault, user: User, description: str | None, now: datetime) -> AccessKey:
    """A new access key of a user.

    Raises:
        Conflict: the user has as many as it may.
    """
    if len(store.list_access_keys(tx, user.user_id)) >= ACCESS_KEYS_MAX:
        raise Conflict(f"User {user.name} has {ACCESS_KEYS_MAX} access keys, which is the most it may have.")
    access_key, secret_key = new_pair()
    key = AccessKey(
        access_key=access_key,
        secret_key=secret_key,
        user_id=user.user_id,
        description=description or None,
        enabled=True,
        created_at=now,
    )
    store.insert_access_key(tx, _sealed(vault, key))
    return key


def issue_temporary(tx: Transaction, vault: Vault, user_id: str, duration_seconds: int, now: datetime) -> TemporaryKey:
    """A new access key that ends by itself, with its security token in clear; a few expired ones are forgotten.

    Raises:
        Invalid: the duration is out of bounds.
        Conflict: the user has as many as it may.
    """
    if not TEMPORARY_KEY_SECONDS_MIN <= duration_seconds <= TEMPORARY_KEY_SECONDS_MAX:
        raise Invalid("duration_seconds", f"must be from {TEMPORARY_KEY_SECONDS_MIN} to {TEMPORARY_KEY_SECONDS_MAX}")
    store.purge_temporary_keys(tx, now, PURGE_BATCH_MAX)
    if store.count_temporary_keys(tx, user_id, now) >= TEMPORARY_KEYS_MAX:
        raise Conflict(f"The user has {TEMPORARY_KEYS_MAX} temporary access keys, which is the most it may have.")
    access_key, secret_key = new_pair()
    security_token = secrets.token_urlsafe(TEXT_BYTES)
    key = AccessKey(
        access_key=access_key,
        secret_key=secret_key,
        user_id=user_id,
        description=None,
        enabled=True,
        created_at=now,
        security_token_digest=digest_of(security_token),
        expires_at=now + timedelta(seconds=duration_seconds),
    )
    store.insert_access_key(tx, _sealed(vault, key))
    return TemporaryKey(
        access_key=access_key,
        secret_key=secret_key,
        security_token=security_token,
        expires_at=now + timedelta(seconds=duration_seconds),
    )


def owned(tx: Transaction, caller: Caller, access_key: str) -> AccessKey:
    """An access key of the caller's account that the caller may see to.

    Raises:
        NotFound: there is none in the account.
        Forbidden: it is somebody else's.
    """
    key = store.find_access_key(tx, access_key)
    owner = store.find_user(tx, key.user_id) if key else None
    if key is None or owner is None or owner.account_id != caller.account_id:
        raise NotFound("access key", access_key)
    require_management(caller, account_id=caller.account_id, user_id=owner.user_id)
    return key


def take_back(tx: Transaction, key: AccessKey) -> None:
    """Forget an access key; with a permanent one go its user's temporary ones, and its tokens.

    Whoever takes a key back mistrusts what was made with it.
    """
    store.delete_access_key(tx, key.access_key)
    if key.expires_at is None:
        store.revoke_temporary_keys(tx, key.user_id)
        store.revoke_tokens(tx, key.user_id)


def refuse_temporary(caller: Caller) -> None:
    """Let nobody have a new key for a temporary one: it would never end.

    Raises:
        Forbidden: the caller signs with a temporary access key.
    """
    if caller.temporary:
        raise Forbidden(f"User {caller.user_name} signs with a temporary access key, which gives no other key.")


def check(signer: Signer, security_token: str | None, now: datetime) -> None:
    """Let pass who sends the security token of a temporary access key in time; a permanent key has no token.

    Raises:
        Unauthenticated: it has expired, or the token is missing, another one's, or there although the key has none.
    """
    if signer.expires_at is not None and signer.expires_at <= now:
        raise Unauthenticated("the temporary access key has expired")
    sent = None if security_token is None else digest_of(security_token)
    if not hmac.compare_digest(sent or "", signer.security_token_digest or ""):
        raise Unauthenticated("the security token does not belong to the access key")


def _sealed(vault: Vault, key: AccessKey) -> AccessKey:
    """The key as it may be written down."""
    return msgspec.structs.replace(key, secret_key=vault.seal(key.secret_key))
