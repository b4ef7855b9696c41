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

from fleetcron.control import keys, tokens, users
from fleetcron.control.administration import changing, require_management
from fleetcron.control.founding import Established, Founding, found
from fleetcron.control.passwords import Passwords
from fleetcron.control.recent import Recent
from fleetcron.domain.access import (
    AccessKey,
    Account,
    Caller,
    Project,
    Scope,
    SignedIn,
    Signer,
    TemporaryKey,
    User,
)
from fleetcron.errors import NotFound, StaleToken, Unauthenticated
from fleetcron.store import access as store
from fleetcron.store.database import Database, Transaction
from fleetcron.store.vault import Vault, open_vault

WRONG = "The username or password is wrong."


class Access:
    """What people ask about themselves and each other.

    A caller from one account sees nothing of another: what is there is NotFound, as what is not. The secrets of access
    keys are kept sealed in ``vault``, by default the one that lies beside the database.
    """

    def __init__(self, database: Database, passwords: Passwords | None = None, vault: Vault | None = None) -> None:
        self._database = database
        self._vault = vault or open_vault(database)
        self._bearers: Recent[tuple[Caller, datetime]] = Recent()
        self._signers: Recent[Signer] = Recent()
        self._passwords = passwords or Passwords()

    def establish(self, now: datetime, founding: Founding) -> Established:
        """Make the account, its administrator, its projects and a key; at a later start, what has changed of them.

        Raises:
            BadSettings: a given project id or access key is already somebody else's.
        """
        with self._changing() as tx:
            return found(tx, self._passwords, self._vault, founding, now)

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
            named = store.list_users(tx, account.account_id, name=user_name) if account else []
        user = named[0] if named else None
        verified = self._passwords.verify(user.password_hash if user else None, password)
        if account is None or user is None or not verified:
            raise Unauthenticated(WRONG)
        with self._database.transaction() as tx:
            # The password may have been changed, or the user disabled, while it was checked.
            if not user.enabled or store.lock_user(tx, user.user_id) != user:
                raise Unauthenticated(WRONG)
            return tokens.issue(tx, user, account, scope, now)

    def exchange(self, plain: str, scope: Scope | None, now: datetime) -> tuple[str, SignedIn]:
        """A new token for a token, for another scope and not for longer; the old one goes on.

        Raises:
            StaleToken, Unauthenticated: as in ``caller_of_token``; or the scope is not the user's.
        """
        with self._database.transaction() as tx:
            return tokens.exchange(tx, plain, scope, now)

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

    def signing_key(self, access_key: str, now: datetime, *, security_token: str | None = None) -> tuple[str, Caller]:
        """The secret with which this access key signs, and whose it is; a temporary one needs its security token.

        Raises:
            Unauthenticated: it is unknown or has expired, it or its user is disabled, or the security token is not its.
        """
        signer = self._signers.recall(access_key, now)
        if signer is None:
            with self._database.snapshot() as tx:
                signer = store.find_signer(tx, access_key)
            if signer is None:
                raise Unauthenticated(f"Get secretKey failed,ak:{access_key},err:ak not exist")
            # Opened once a second at most, not for every request.
            signer = msgspec.structs.replace(signer, secret_key=self._vault.open(signer.secret_key))
            self._signers.remember(access_key, signer, now)
        keys.check(signer, security_token, now)
        return signer.secret_key, signer.caller

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

    def show_project(self, caller: Caller, project_id: str) -> Project:
        """One project of the caller's account."""
        with self._database.snapshot() as tx:
            project = store.find_project(tx, project_id)
        if project is None or project.account_id != caller.account_id:
            raise NotFound("project", project_id)
        return project

    def projects_of(self, caller: Caller, user_id: str) -> list[Project]:
        """The projects that a user may sign in to: the account's; users may ask about themselves."""
        user = self.show_user(caller, user_id)
        with self._database.snapshot() as tx:
            return store.list_projects(tx, user.account_id)

    def domains(self, caller: Caller, name: str | None = None) -> list[Account]:
        """The accounts that the caller can see: its own; with ``name``, that one or none."""
        with self._database.snapshot() as tx:
            account = store.find_account(tx, caller.account_id)
        return [account] if account and name in {None, account.name} else []

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
            users.add(tx, user)
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
            return users.own(tx, caller, user_id)

    def update_user(
        self,
        caller: Caller,
        user_id: str,
        *,
        password: str | None = None,
        description: str | None = None,
        enabled: bool | None = None,
    ) -> User:
        """Change what is not None; an empty description clears it.

        A new password or a disabling ends all that was issued for a while: tokens and temporary access keys.

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
            return users.change(tx, users.own(tx, caller, user_id), changes)

    def delete_user(self, caller: Caller, user_id: str) -> None:
        """Forget a user, its access keys and its tokens.

        Raises:
            Conflict: it is the account's last administrator.
        """
        _require(caller)
        with self._changing() as tx:
            users.keep_an_administrator(tx, users.own(tx, caller, user_id))
            store.delete_user(tx, user_id)

    def create_access_key(
        self, caller: Caller, *, user_id: str | None, description: str | None, now: datetime
    ) -> AccessKey:
        """Make a key pair for a user, None the caller; the answer is the only time that the secret is shown.

        Raises:
            Forbidden: somebody else's, or the caller signs with a temporary key.
            Conflict: the user has as many keys as it may.
        """
        user_id = user_id or caller.user_id
        _require(caller, user_id)
        keys.refuse_temporary(caller)
        with self._changing() as tx:
            return keys.issue(tx, self._vault, users.own(tx, caller, user_id), description, now)

    def create_temporary_key(self, caller: Caller, duration_seconds: int, now: datetime) -> TemporaryKey:
        """Make an access key for the caller that ends by itself after 900 to 86400 seconds.

        Its secret and its security token are shown only now. It ends early when the user's password changes, or when
        one of its permanent keys is deleted: with that one it may have been made.

        Raises:
            Invalid: the duration is out of bounds.
            Forbidden: the caller signs with a temporary key itself, or is no user of ours.
            Conflict: the user has as many as it may.
        """
        keys.refuse_temporary(caller)
        with self._changing() as tx:
            user = users.own(tx, caller, caller.user_id)
            return keys.issue_temporary(tx, self._vault, user.user_id, duration_seconds, now)

    def list_access_keys(self, caller: Caller, user_id: str | None = None) -> list[AccessKey]:
        """The permanent access keys of a user, None the caller, oldest first; their secrets stay sealed."""
        user_id = user_id or caller.user_id
        _require(caller, user_id)
        with self._database.snapshot() as tx:
            return store.list_access_keys(tx, users.own(tx, caller, user_id).user_id)

    def show_access_key(self, caller: Caller, access_key: str) -> AccessKey:
        """One access key, its secret sealed; users may see their own, administrators their account's."""
        with self._database.snapshot() as tx:
            return keys.owned(tx, caller, access_key)

    def delete_access_key(self, caller: Caller, access_key: str) -> None:
        """Forget an access key, and with a permanent one what else its user has; who may as in showing it."""
        with self._changing() as tx:
            keys.take_back(tx, keys.owned(tx, caller, access_key))

    @contextmanager
    def _changing(self) -> Iterator[Transaction]:
        """A transaction that changes who may come in: once it is committed, nothing found before counts."""
        with changing(self._database) as tx:
            yield tx
        self._bearers.forget()
        self._signers.forget()


def _require(caller: Caller, user_id: str | None = None) -> None:
    """Let administrators pass, and users who ask about themselves."""
    require_management(caller, account_id=caller.account_id, user_id=user_id)


def _signed_in(tx: Transaction, caller: Caller, subject: str, now: datetime) -> SignedIn:
    """What the token stands for, if the caller may know."""
    signed_in = tokens.signed_in(tx, caller.account_id, subject, now)
    _require(caller, signed_in.user.user_id)
    return signed_in
