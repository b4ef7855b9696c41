"""Accounts, projects, users, access keys and tokens in the database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from fleetcron.domain.access import AccessKey, Account, Caller, Project, Signer, Token, User
from fleetcron.store.database import Transaction
from fleetcron.store.rows import Rows, text_of

ACCOUNTS = Rows(Account, "accounts")
PROJECTS = Rows(Project, "projects")
USERS = Rows(User, "users")
ACCESS_KEYS = Rows(AccessKey, "access_keys")
TOKENS = Rows(Token, "tokens")

_ACCOUNT = f"SELECT {ACCOUNTS.columns} FROM accounts"  # noqa: S608  (names are our own fields)
_PROJECT = f"SELECT {PROJECTS.columns} FROM projects"  # noqa: S608  (the same)
_USER = f"SELECT {USERS.columns} FROM users"  # noqa: S608  (the same)
_ACCESS_KEY = f"SELECT {ACCESS_KEYS.columns} FROM access_keys"  # noqa: S608  (the same)
_TOKEN = f"SELECT {TOKENS.columns} FROM tokens"  # noqa: S608  (the same)

_CALLER = """
    SELECT u.user_id, u.name, u.account_id, u.administrator, t.project_id, t.expires_at
    FROM tokens t JOIN users u ON u.user_id = t.user_id
    WHERE t.digest = ? AND u.enabled = 1
"""
_SIGNER = """
    SELECT u.user_id, u.name, u.account_id, u.administrator, k.secret_key, k.security_token_digest, k.expires_at
    FROM access_keys k JOIN users u ON u.user_id = k.user_id
    WHERE k.access_key = ? AND k.enabled = 1 AND u.enabled = 1
"""


def find_caller(tx: Transaction, digest: str) -> tuple[Caller, datetime] | None:
    """Whose token this is and when it expires; None for an unknown token or a disabled user."""
    row = tx.execute(_CALLER, (digest,)).fetchone()
    if row is None:
        return None
    *user, project_id, expires_at = row
    return _caller(user, project_id=project_id), datetime.fromisoformat(expires_at)


def find_signer(tx: Transaction, access_key: str) -> Signer | None:
    """Whose access key this is and its secret; None if it is unknown, or the key or its user is disabled."""
    row = tx.execute(_SIGNER, (access_key,)).fetchone()
    if row is None:
        return None
    *user, secret_key, digest, expires_at = row
    return Signer(
        caller=_caller(user, temporary=expires_at is not None),
        secret_key=secret_key,
        security_token_digest=digest,
        expires_at=None if expires_at is None else datetime.fromisoformat(expires_at),
    )


def insert_account(tx: Transaction, account: Account) -> None:
    """Write a new account."""
    tx.execute(ACCOUNTS.insert, ACCOUNTS.values(account))


def find_account(tx: Transaction, account_id: str) -> Account | None:
    """The account, if it exists."""
    row = tx.execute(f"{_ACCOUNT} WHERE account_id = ?", (account_id,)).fetchone()
    return None if row is None else ACCOUNTS.read(row)


def find_account_called(tx: Transaction, name_or_id: str) -> Account | None:
    """The account with this name; where there is none, the one with this id."""
    row = tx.execute(
        f"{_ACCOUNT} WHERE name = :called OR account_id = :called ORDER BY name = :called DESC LIMIT 1",
        {"called": name_or_id},
    ).fetchone()
    return None if row is None else ACCOUNTS.read(row)


def insert_project(tx: Transaction, project: Project) -> None:
    """Write a new project; its name is new in its account (UNIQUE account_id, name)."""
    tx.execute(PROJECTS.insert, PROJECTS.values(project))


def find_project(tx: Transaction, project_id: str) -> Project | None:
    """The project, if it exists."""
    row = tx.execute(f"{_PROJECT} WHERE project_id = ?", (project_id,)).fetchone()
    return None if row is None else PROJECTS.read(row)


def owner_of_project(tx: Transaction, project_id: str) -> tuple[str, str] | None:
    """The account that owns the project and the project's name, its region; None if there is no such project."""
    row = tx.execute("SELECT account_id, name FROM projects WHERE project_id = ?", (project_id,)).fetchone()
    return None if row is None else (str(row[0]), str(row[1]))


def list_projects(tx: Transaction, account_id: str, *, name: str | None = None) -> list[Project]:
    """The account's projects, oldest first; with ``name``, the one of that name or none."""
    rows = tx.execute(
        f"{_PROJECT} WHERE account_id = ? AND (CAST(? AS TEXT) IS NULL OR name = ?) ORDER BY created_at, name",
        (account_id, name, name),
    )
    return [PROJECTS.read(row) for row in rows]


def insert_user(tx: Transaction, user: User) -> bool:
    """Write a new user; False where the account has one of this name (UNIQUE account_id, name)."""
    cursor = tx.execute(f"{USERS.insert} ON CONFLICT (account_id, name) DO NOTHING", USERS.values(user))
    return cursor.rowcount == 1


def find_user(tx: Transaction, user_id: str) -> User | None:
    """The user, if it exists."""
    row = tx.execute(f"{_USER} WHERE user_id = ?", (user_id,)).fetchone()
    return None if row is None else USERS.read(row)


def lock_user(tx: Transaction, user_id: str) -> User | None:
    """The user, if it exists; nobody changes it, or forgets what it was issued, until the transaction ends."""
    row = tx.execute(f"{_USER} WHERE user_id = ? FOR UPDATE", (user_id,)).fetchone()
    return None if row is None else USERS.read(row)


def list_users(tx: Transaction, account_id: str, *, name: str | None = None) -> list[User]:
    """The account's users by name; with ``name``, the one of that name or none."""
    rows = tx.execute(
        f"{_USER} WHERE account_id = ? AND (CAST(? AS TEXT) IS NULL OR name = ?) ORDER BY name",
        (account_id, name, name),
    )
    return [USERS.read(row) for row in rows]


def count_users(tx: Transaction, account_id: str) -> int:
    """How many users the account has."""
    (count,) = tx.execute("SELECT count(*) FROM users WHERE account_id = ?", (account_id,)).fetchone()
    return int(count)


def count_administrators(tx: Transaction, account_id: str) -> int:
    """How many of the account's users are administrators and enabled."""
    (count,) = tx.execute(
        "SELECT count(*) FROM users WHERE account_id = ? AND administrator = 1 AND enabled = 1", (account_id,)
    ).fetchone()
    return int(count)


def update_user(tx: Transaction, user: User) -> None:
    """Write what may change of a user: description, password and whether it is enabled."""
    tx.execute(
        "UPDATE users SET description = ?, password_hash = ?, enabled = ? WHERE user_id = ?",
        (user.description, user.password_hash, user.enabled, user.user_id),
    )


def delete_user(tx: Transaction, user_id: str) -> None:
    """Forget a user, and with it its access keys and tokens (ON DELETE CASCADE)."""
    tx.execute("DELETE FROM users WHERE user_id = ?", (user_id,))


def insert_access_key(tx: Transaction, key: AccessKey) -> None:
    """Write a new access key."""
    tx.execute(ACCESS_KEYS.insert, ACCESS_KEYS.values(key))


def find_access_key(tx: Transaction, access_key: str) -> AccessKey | None:
    """The access key with its secret, if it exists."""
    row = tx.execute(f"{_ACCESS_KEY} WHERE access_key = ?", (access_key,)).fetchone()
    return None if row is None else ACCESS_KEYS.read(row)


def list_access_keys(tx: Transaction, user_id: str) -> list[AccessKey]:
    """The user's access keys but the temporary ones, oldest first."""
    rows = tx.execute(
        f"{_ACCESS_KEY} WHERE user_id = ? AND expires_at IS NULL ORDER BY created_at, access_key", (user_id,)
    )
    return [ACCESS_KEYS.read(row) for row in rows]


def update_access_key(tx: Transaction, key: AccessKey) -> None:
    """Write what may change of an access key: its secret and whether it is enabled."""
    tx.execute(
        "UPDATE access_keys SET secret_key = ?, enabled = ? WHERE access_key = ?",
        (key.secret_key, key.enabled, key.access_key),
    )


def delete_access_key(tx: Transaction, access_key: str) -> None:
    """Forget an access key."""
    tx.execute("DELETE FROM access_keys WHERE access_key = ?", (access_key,))


def count_temporary_keys(tx: Transaction, user_id: str, now: datetime) -> int:
    """How many of the user's temporary access keys have not expired."""
    (count,) = tx.execute(
        "SELECT count(*) FROM access_keys WHERE user_id = ? AND expires_at > ?", (user_id, text_of(now))
    ).fetchone()
    return int(count)


def revoke_temporary_keys(tx: Transaction, user_id: str) -> None:
    """Forget every temporary access key of a user."""
    tx.execute("DELETE FROM access_keys WHERE user_id = ? AND expires_at IS NOT NULL", (user_id,))


def purge_temporary_keys(tx: Transaction, expired_before: datetime, batch_max: int) -> int:
    """Forget up to ``batch_max`` access keys that expired before an instant, the oldest first; how many they were."""
    cursor = tx.execute(
        "DELETE FROM access_keys WHERE access_key IN"
        " (SELECT access_key FROM access_keys WHERE expires_at < ? ORDER BY expires_at LIMIT ? FOR UPDATE SKIP LOCKED)",
        (text_of(expired_before), batch_max),
    )
    return cursor.rowcount


def insert_token(tx: Transaction, token: Token) -> None:
    """Write a new token."""
    tx.execute(TOKENS.insert, TOKENS.values(token))


def find_token(tx: Transaction, digest: str) -> Token | None:
    """The token, expired or not, if it exists."""
    row = tx.execute(f"{_TOKEN} WHERE digest = ?", (digest,)).fetchone()
    return None if row is None else TOKENS.read(row)


def delete_token(tx: Transaction, digest: str) -> None:
    """Forget a token."""
    tx.execute("DELETE FROM tokens WHERE digest = ?", (digest,))


def revoke_tokens(tx: Transaction, user_id: str) -> None:
    """Forget every token of a user."""
    tx.execute("DELETE FROM tokens WHERE user_id = ?", (user_id,))


def purge_tokens(tx: Transaction, expired_before: datetime, batch_max: int) -> int:
    """Forget up to ``batch_max`` tokens that expired before an instant, the oldest first; how many they were."""
    cursor = tx.execute(
        "DELETE FROM tokens WHERE digest IN"
        " (SELECT digest FROM tokens WHERE expires_at < ? ORDER BY expires_at LIMIT ? FOR UPDATE SKIP LOCKED)",
        (text_of(expired_before), batch_max),
    )
    return cursor.rowcount


def _caller(user: Sequence[Any], *, project_id: str | None = None, temporary: bool = False) -> Caller:
    """Made by hand: this runs on every request."""
    user_id, user_name, account_id, administrator = user
    return Caller(
        user_id=user_id,
        user_name=user_name,
        account_id=account_id,
        administrator=bool(administrator),
        project_id=project_id,
        temporary=temporary,
    )
