"""Tokens: issued as random text, kept as its digest, and looked up again."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from fleetcron.domain.access import Account, Project, ProjectScope, Scope, SignedIn, Token, User
from fleetcron.errors import NotFound, StaleToken, Unauthenticated
from fleetcron.store import access as store
from fleetcron.store.database import Transaction

LIFETIME = timedelta(hours=24)
TEXT_BYTES = 48

# An expired token is kept for a while, so that its bearer hears "sign in again" and not "who are you".
EXPIRED_KEPT = timedelta(hours=24)
PURGE_BATCH_MAX = 100


def digest_of(plain: str) -> str:
    """The hexadecimal SHA-256 under which a token is kept: the file gives no token away."""
    return hashlib.sha256(plain.encode()).hexdigest()


def issue(tx: Transaction, user: User, account: Account, scope: Scope | None, now: datetime) -> tuple[str, SignedIn]:
    """A new token's text, which is kept nowhere, and what it stands for; a few long expired ones are forgotten.

    The user has to be locked: otherwise a token could outlive the password that it was issued for.

    Raises:
        Unauthenticated: the scope is not the user's.
    """
    return _issue(tx, user, account, scope, lifetime=(now, now + LIFETIME))


def exchange(tx: Transaction, plain: str, scope: Scope | None, now: datetime) -> tuple[str, SignedIn]:
    """A new token for a token; it expires when that one does, or a stolen one would last for ever.

    Raises:
        StaleToken: the token has expired.
        Unauthenticated: it is unknown, its user is disabled, or the scope is not the user's.
    """
    known = store.find_token(tx, digest_of(plain))
    # With the user held, nothing that was issued to it is taken back any more; and it may have been just before.
    user = store.lock_user(tx, known.user_id) if known else None
    token = store.find_token(tx, digest_of(plain))
    account = store.find_account(tx, user.account_id) if user else None
    if token is None or user is None or account is None or not user.enabled:
        raise Unauthenticated("decrypt token fail")
    if token.expires_at <= now:
        raise StaleToken("The token must be updated.")
    return _issue(tx, user, account, scope, lifetime=(now, token.expires_at))


def signed_in(tx: Transaction, account_id: str, plain: str, now: datetime) -> SignedIn:
    """What a token of this account stands for.

    Raises:
        NotFound: it is unknown or over, its user is disabled, or it is of another account.
    """
    token = store.find_token(tx, digest_of(plain))
    user = store.find_user(tx, token.user_id) if token and now < token.expires_at else None
    account = store.find_account(tx, account_id)
    if token is None or user is None or account is None or not user.enabled or user.account_id != account_id:
        raise NotFound("token", "in the request")
    project = store.find_project(tx, token.project_id) if token.project_id else None
    return _said(tx, user, account, project, token)


def _issue(
    tx: Transaction, user: User, account: Account, scope: Scope | None, *, lifetime: tuple[datetime, datetime]
) -> tuple[str, SignedIn]:
    now, expires_at = lifetime
    project = _project_in(tx, scope, account)
    plain = secrets.token_urlsafe(TEXT_BYTES)
    token = Token(
        digest=digest_of(plain),
        user_id=user.user_id,
        project_id=None if project is None else project.project_id,
        issued_at=now,
        expires_at=expires_at,
    )
    store.purge_tokens(tx, now - EXPIRED_KEPT, PURGE_BATCH_MAX)
    store.insert_token(tx, token)
    return plain, _said(tx, user, account, project, token)


def _said(tx: Transaction, user: User, account: Account, project: Project | None, token: Token) -> SignedIn:
    """What a token stands for. A project is named after its region; the whole account is in the regions of all."""
    projects = store.list_projects(tx, account.account_id) if project is None else [project]
    return SignedIn(
        user=user,
        account=account,
        project=project,
        regions=tuple([one.name for one in projects]),
        issued_at=token.issued_at,
        expires_at=token.expires_at,
    )


def _project_in(tx: Transaction, scope: Scope | None, account: Account) -> Project | None:
    """The project that the scope names, None for the account's scope."""
    own = scope is None or scope.account in {None, account.name, account.account_id}
    if own and not isinstance(scope, ProjectScope):
        return None
    project = _named(tx, scope, account) if own and isinstance(scope, ProjectScope) else None
    if project is None:
        raise Unauthenticated("The scope is not one of the user's: no such project or account.")
    return project


def _named(tx: Transaction, scope: ProjectScope, account: Account) -> Project | None:
    if scope.project_id is None:
        return next(iter(store.list_projects(tx, account.account_id, name=scope.name)), None)
    project = store.find_project(tx, scope.project_id)
    return project if project and project.account_id == account.account_id else None
