"""Who may come in, and what people ask about themselves and each other: sign-in, users, access keys.

Passwords are checked outside of transactions: hashing takes a tenth of a second by design, and nobody
else's commit should wait for it. What was checked is read again before anything is written on its strength.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import msgspec

from fleetcron.control import tokens
from fleetcron.control.founding import Established, Founding, found, new_pair
from fleetcron.control.passwords import Passwords
from fleetcron.control.recent import Recent
from fleetcron.domain.access import (
    ACCESS_KEYS_MAX,
    USERS_MAX,
    AccessKey,
    Account,
    Caller,
    Deny,
    Permission,
    Project,
    Scope,
    SignedIn,
    User,
    decide,
)
from fleetcron.errors import Conflict, Forbidden, NotFound, StaleToken, Unauthenticated
from fleetcron.store import access as store
from fleetcron.store.database import Database, Transaction

WRONG = "The username or password is wrong."


class Access:
    """What people ask about themselves and each other.

    A caller from one account sees nothing of another: what is there is NotFound, as what is not.
    """

    def __init__(self, database: Database, passwords: Passwords | None = None) -> None:
        self._database = database
        self._bearers: Recent[tuple[Caller, datetime]] = Recent()
        self._signers: Recent[tuple[Caller, str]] = Recent()
        self._passwords = passwords or Passwords()

    def establish(self, now: datetime, founding: Founding) -> Established:
        """Make the account, its administrator, its projects and a key; at a later start, what has changed of them.

        Raises:
            BadSettings: a given project id or access key is already somebody else's.
        """
        with self._changing() as tx:
            return found(tx, self._passwords, founding, now)

    def sign_in(
        self, user_name: str, domain_name: str, password: str, scope: Scope | None, now: datetime
    ) -> tuple[str, SignedIn]:
        """A new token for a user, as text that is kept nowhere, and what it stands for.

        ``domain_name`` may also be the account's id. Without a scope the token is for the whole account.

        Raises:
            Unauthenticated: no such user, wrong password, disabled user (all alike, and after the same time);
                or the scope is not the user's.
            Unavailable: too many sign in at once.
        """
        with self._database.snapshot() as tx:
            account = store.find_account_called(tx, domain_name)
            users = store.list_users(tx, account.account_id, name=user_name) if account else []
        user = users[0] if users else None
        verified = self._passwords.verify(user.password_hash if user else None, password)
        if account is None or user is None or not verified:
            raise Unauthenticated(WRONG)
        with self._database.transaction() as tx:
            # The password may have been changed, or the user disabled, while it was checked.
            if not user.enabled or store.find_user(tx, user.user_id) != user:
                raise Unauthenticated(WRONG)
            return tokens.issue(tx, user, account, scope, now)

    def caller_of_token(self, plain: str, now: datetime) -> Caller:
        """Who bears this token.

        Raises:
            StaleToken: it has expired.
            Unauthenticated: it is unknown or revoked, or its user is disabled.
        """
        digest = tokens.digest_of(plain)
        bearer = self._bearers.recall(digest, now)
        if bearer is None:
            with self._database.snapshot() as tx:
                bearer = store.find_caller(tx, digest)
            if bearer is None:
                raise Unauthenticated("decrypt token fail")
            self._bearers.remember(digest, bearer, now)
        caller, expires_at = bearer
        if expires_at <= now:
            raise StaleToken("The token must be updated.")
        return caller

    def signing_key(self, access_key: str, now: datetime) -> tuple[str, Caller]:
        """The secret with which this access key signs, and whose it is.

        Raises:
            Unauthenticated: it is unknown, or it or its user is disabled.
        """
        signer = self._signers.recall(access_key, now)
        if signer is None:
            with self._database.snapshot() as tx:
                signer = store.find_signer(tx, access_key)
            if signer is None:
                raise Unauthenticated(f"Get secretKey failed,ak:{access_key},err:ak not exist")
            self._signers.remember(access_key, signer, now)
        caller, secret_key = signer
        return secret_key, caller

    def check_token(self, caller: Caller, subject: str, now: datetime) -> SignedIn:
        """What a token stands for; users may ask about their own, administrators about their account's.

        Raises:
            NotFound: it is unknown, expired, or its user is disabled.
            Forbidden: it is somebody else's.
        """
        with self._database.snapshot() as tx:
            return _signed_in(tx, caller, subject, now)

    def revoke_token(self, caller: Caller, subject: str, now: datetime) -> None:
        """End a token before its time; who may, and what it raises, as in ``check_token``."""
        with self._changing() as tx:
            _signed_in(tx, caller, subject, now)
            store.delete_token(tx, tokens.digest_of(subject))

    def projects(self, caller: Caller, name: str | None = None) -> list[Project]:
        """The projects of the caller's account; with ``name``, that one or none."""
        with self._database.snapshot() as tx:
            return store.list_projects(tx, caller.account_id, name=name)

    def domains(self, caller: Caller) -> list[Account]:
        """The accounts that the caller can see: its own."""
        with self._database.snapshot() as tx:
            account = store.find_account(tx, caller.account_id)
        return [account] if account else []

    def create_user(
        self, caller: Caller, *, name: str, password: str | None, description: str | None, enabled: bool, now: datetime
    ) -> User:
        """Make a user; one without a password can only use access keys.

        Raises:
            Conflict: the account has a user of this name, or as many as it may.
        """
        _require(caller)
        user = User(
            user_id=secrets.token_hex(16),
            account_id=caller.account_id,
            name=name,
            description=description or None,
            password_hash=self._passwords.hash(password or secrets.token_urlsafe(32)),
            administrator=False,
            enabled=enabled,
            created_at=now,
        )
        with self._changing() as tx:
            if store.count_users(tx, caller.account_id) >= USERS_MAX:
                raise Conflict(f"The account has {USERS_MAX} users, which is the most it may have.")
            if not store.insert_user(tx, user):
                raise Conflict(f"The account already has a user named {name}.")
        return user

    def list_users(self, caller: Caller, name: str | None = None) -> list[User]:
        """The users of the caller's account by name; with ``name``, that one or none."""
        _require(caller)
        with self._database.snapshot() as tx:
            return store.list_users(tx, caller.account_id, name=name)

    def show_user(self, caller: Caller, user_id: str) -> User:
        """One user; everybody may see themselves."""
        _require(caller, user_id)
        with self._database.snapshot() as tx:
            return _user(tx, caller, user_id)

    def update_user(
        self,
        caller: Caller,
        user_id: str,
        *,
        password: str | None = None,
        description: str | None = None,
        enabled: bool | None = None,
    ) -> User:
        """Change what is not None; an empty description clears it. A new password or a disabling ends all tokens.

        Raises:
            Conflict: it would disable the account's last administrator.
        """
        _require(caller)
        changes: dict[str, object] = {}
        if password is not None:
            changes["password_hash"] = self._passwords.hash(password)
        if description is not None:
            changes["description"] = description or None
        if enabled is not None:
            changes["enabled"] = enabled
        with self._changing() as tx:
            user = _user(tx, caller, user_id)
            if enabled is False:
                _keep_an_administrator(tx, user)
            changed = msgspec.structs.replace(user, **changes)
            store.update_user(tx, changed)
            if password is not None or enabled is False:
                store.revoke_tokens(tx, user_id)
        return changed

    def delete_user(self, caller: Caller, user_id: str) -> None:
        """Forget a user, its access keys and its tokens.

        Raises:
            Conflict: it is the account's last administrator.
        """
        _require(caller)
        with self._changing() as tx:
            _keep_an_administrator(tx, _user(tx, caller, user_id))
            store.delete_user(tx, user_id)

    def create_access_key(
        self, caller: Caller, *, user_id: str | None, description: str | None, now: datetime
    ) -> AccessKey:
        """Make a key pair for a user, None the caller; the answer is the only time that the secret is shown.

        Raises:
            Conflict: the user has as many keys as it may.
        """
        user_id = user_id or caller.user_id
        _require(caller, user_id)
        with self._changing() as tx:
            user = _user(tx, caller, user_id)
            if len(store.list_access_keys(tx, user_id)) >= ACCESS_KEYS_MAX:
                raise Conflict(f"User {user.name} has {ACCESS_KEYS_MAX} access keys, which is the most it may have.")
            access_key, secret_key = new_pair()
            key = AccessKey(
                access_key=access_key,
                secret_key=secret_key,
                user_id=user_id,
                description=description or None,
                enabled=True,
                created_at=now,
            )
            store.insert_access_key(tx, key)
        return key

    def list_access_keys(self, caller: Caller, user_id: str | None = None) -> list[AccessKey]:
        """The access keys of a user, None the caller, oldest first."""
        user_id = user_id or caller.user_id
        _require(caller, user_id)
        with self._database.snapshot() as tx:
            return store.list_access_keys(tx, _user(tx, caller, user_id).user_id)

    def show_access_key(self, caller: Caller, access_key: str) -> AccessKey:
        """One access key; users may see their own, administrators their account's."""
        with self._database.snapshot() as tx:
            return _owned_key(tx, caller, access_key)

    def delete_access_key(self, caller: Caller, access_key: str) -> None:
        """Forget an access key; who may as in ``show_access_key``."""
        with self._changing() as tx:
            store.delete_access_key(tx, _owned_key(tx, caller, access_key).access_key)

    @contextmanager
    def _changing(self) -> Iterator[Transaction]:
        """A transaction that changes who may come in: once it is committed, nothing found before counts."""
        with self._database.transaction() as tx:
            yield tx
        self._bearers.forget()
        self._signers.forget()


def _require(caller: Caller, user_id: str | None = None) -> None:
    """Let administrators pass, and users who ask about themselves."""
    decision = decide(caller, Permission.MANAGE_ACCESS, account_id=caller.account_id, user_id=user_id)
    if isinstance(decision, Deny):
        raise Forbidden(decision.reason)


def _signed_in(tx: Transaction, caller: Caller, subject: str, now: datetime) -> SignedIn:
    """What the token stands for, if the caller may know."""
    signed_in = tokens.signed_in(tx, caller.account_id, subject, now)
    _require(caller, signed_in.user.user_id)
    return signed_in


def _user(tx: Transaction, caller: Caller, user_id: str) -> User:
    """A user of the caller's account."""
    user = store.find_user(tx, user_id)
    if user is None or user.account_id != caller.account_id:
        raise NotFound("user", user_id)
    return user


def _keep_an_administrator(tx: Transaction, leaving: User) -> None:
    """Refuse to let the last one go: nobody could let anybody in again."""
    stands = leaving.administrator and leaving.enabled
    if stands and store.count_administrators(tx, leaving.account_id) == 1:
        raise Conflict(f"User {leaving.name} is the account's last administrator.")


def _owned_key(tx: Transaction, caller: Caller, access_key: str) -> AccessKey:
    """An access key of the caller's account that the caller may see to."""
    key = store.find_access_key(tx, access_key)
    owner = store.find_user(tx, key.user_id) if key else None
    if key is None or owner is None or owner.account_id != caller.account_id:
        raise NotFound("access key", access_key)
    _require(caller, owner.user_id)
    return key
