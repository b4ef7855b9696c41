"""Accounts, projects, users, access keys and tokens in the database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from fleetcron.domain.access import AccessKey, Account, Caller, Project, Signer, Token, User
from fleetcron.errors import Constrained
from fleetcron.store import access as store
from fleetcron.store.database import Database, Transaction

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def a_user(name: str = "ada", **other: object) -> User:
    user = User(
        user_id=f"id-of-{name}",
        account_id="default",
        name=name,
        description=None,
        password_hash="a hash",
        administrator=False,
        enabled=True,
        created_at=NOW,
    )
    return msgspec.structs.replace(user, **other)


def a_token(digest: str = "digest", *, expires_at: datetime = NOW + HOUR, project_id: str | None = None) -> Token:
    return Token(digest=digest, user_id="id-of-ada", project_id=project_id, issued_at=NOW, expires_at=expires_at)


A_KEY = AccessKey(
    access_key="AK", secret_key="a secret", user_id="id-of-ada", description=None, enabled=True, created_at=NOW
)


def a_temporary_key(access_key: str, *, expires_at: datetime = NOW + HOUR) -> AccessKey:
    digest = f"digest of {access_key}"
    return msgspec.structs.replace(A_KEY, access_key=access_key, security_token_digest=digest, expires_at=expires_at)


A_PROJECT = Project(project_id="p1", account_id="default", name="north", created_at=NOW)
ADA = Caller(user_id="id-of-ada", user_name="ada", account_id="default", administrator=False, project_id=None)


@pytest.fixture
def peopled(database: Database) -> Database:
    """The database with nothing but the account home and a user of it."""
    with database.transaction() as tx:
        tx.execute("DELETE FROM projects")
        tx.execute("DELETE FROM accounts")
        store.insert_account(tx, Account(account_id="default", name="home", created_at=NOW))
        assert store.insert_user(tx, a_user())
    return database


@pytest.fixture
def tx(peopled: Database) -> Iterator[Transaction]:
    with peopled.transaction() as tx:
        yield tx


def test_what_was_written_is_read_back(tx: Transaction) -> None:
    store.insert_project(tx, A_PROJECT)
    store.insert_access_key(tx, A_KEY)
    store.insert_token(tx, a_token(project_id="p1"))
    assert store.find_account(tx, "default") == Account(account_id="default", name="home", created_at=NOW)
    assert store.find_project(tx, "p1") == A_PROJECT
    assert store.find_user(tx, "id-of-ada") == a_user()
    assert store.find_access_key(tx, "AK") == A_KEY
    assert store.find_token(tx, "digest") == a_token(project_id="p1")


def test_what_is_not_there_is_none(tx: Transaction) -> None:
    assert store.find_account(tx, "other") is None
    assert store.find_account_called(tx, "other") is None
    assert store.find_project(tx, "p1") is None
    assert store.find_user(tx, "id-of-bob") is None
    assert store.find_access_key(tx, "AK") is None
    assert store.find_token(tx, "digest") is None
    assert store.find_caller(tx, "digest") is None
    assert store.find_signer(tx, "AK") is None


def test_an_account_is_found_by_name_before_id(tx: Transaction) -> None:
    store.insert_account(tx, Account(account_id="home", name="second", created_at=NOW))
    for called, account_id in (("home", "default"), ("default", "default"), ("second", "home")):
        found = store.find_account_called(tx, called)
        assert found is not None
        assert found.account_id == account_id


def test_a_user_name_is_taken_once_in_an_account(tx: Transaction) -> None:
    store.insert_account(tx, Account(account_id="other", name="other", created_at=NOW))
    assert not store.insert_user(tx, a_user(user_id="another id"))
    assert store.insert_user(tx, a_user(user_id="another id", account_id="other"))
    assert store.list_users(tx, "default") == [a_user()]


def test_a_project_name_is_taken_once_in_an_account(peopled: Database) -> None:
    with peopled.transaction() as tx:
        store.insert_project(tx, A_PROJECT)
    with pytest.raises(Constrained), peopled.transaction() as tx:
        store.insert_project(tx, msgspec.structs.replace(A_PROJECT, project_id="p2"))


def test_lists_are_narrowed_by_name(tx: Transaction) -> None:
    south = msgspec.structs.replace(A_PROJECT, project_id="p2", name="south", created_at=NOW + HOUR)
    store.insert_project(tx, south)
    store.insert_project(tx, A_PROJECT)
    store.insert_user(tx, a_user("bob"))
    assert store.list_projects(tx, "default") == [A_PROJECT, south]
    assert store.list_projects(tx, "default", name="south") == [south]
    assert store.list_projects(tx, "default", name="east") == []
    assert store.list_users(tx, "default") == [a_user(), a_user("bob")]
    assert store.list_users(tx, "default", name="bob") == [a_user("bob")]


def test_only_enabled_administrators_count(tx: Transaction) -> None:
    store.insert_user(tx, a_user("bob", administrator=True))
    store.insert_user(tx, a_user("cy", administrator=True, enabled=False))
    assert store.count_users(tx, "default") == 3
    assert store.count_administrators(tx, "default") == 1


def test_a_user_and_a_key_can_change(tx: Transaction) -> None:
    changed = a_user(description="new", password_hash="new", enabled=False)
    store.update_user(tx, changed)
    store.insert_access_key(tx, A_KEY)
    rotated = msgspec.structs.replace(A_KEY, secret_key="new", enabled=False)
    store.update_access_key(tx, rotated)
    assert store.find_user(tx, "id-of-ada") == changed
    assert store.list_access_keys(tx, "id-of-ada") == [rotated]


def test_keys_and_tokens_go_with_their_user(tx: Transaction) -> None:
    store.insert_access_key(tx, A_KEY)
    store.insert_token(tx, a_token())
    store.delete_user(tx, "id-of-ada")
    assert store.find_access_key(tx, "AK") is None
    assert store.find_token(tx, "digest") is None


def test_a_deleted_key_is_gone(tx: Transaction) -> None:
    store.insert_access_key(tx, A_KEY)
    store.delete_access_key(tx, "AK")
    assert store.list_access_keys(tx, "id-of-ada") == []


def test_a_token_leads_to_its_caller_and_its_end(tx: Transaction) -> None:
    store.insert_project(tx, A_PROJECT)
    store.insert_token(tx, a_token(project_id="p1"))
    caller = msgspec.structs.replace(ADA, project_id="p1")
    assert store.find_caller(tx, "digest") == (caller, NOW + HOUR)


def test_a_key_leads_to_its_caller_and_secret(tx: Transaction) -> None:
    store.insert_access_key(tx, A_KEY)
    assert store.find_signer(tx, "AK") == Signer(
        caller=ADA, secret_key="a secret", security_token_digest=None, expires_at=None
    )


def test_a_temporary_key_is_known_by_its_end_and_is_no_permanent_one(tx: Transaction) -> None:
    store.insert_access_key(tx, A_KEY)
    key = a_temporary_key("TEMP")
    store.insert_access_key(tx, key)
    assert store.find_access_key(tx, "TEMP") == key
    signer = store.find_signer(tx, "TEMP")
    assert signer is not None
    assert signer.caller == msgspec.structs.replace(ADA, temporary=True)
    assert (signer.security_token_digest, signer.expires_at) == ("digest of TEMP", NOW + HOUR)
    assert store.list_access_keys(tx, "id-of-ada") == [A_KEY]
    assert [store.count_temporary_keys(tx, "id-of-ada", at) for at in (NOW, NOW + HOUR)] == [1, 0]


def test_only_temporary_keys_are_purged_and_revoked(tx: Transaction) -> None:
    store.insert_access_key(tx, A_KEY)
    for number in range(3):
        store.insert_access_key(tx, a_temporary_key(f"TEMP{number}", expires_at=NOW + number * HOUR))
    assert store.purge_temporary_keys(tx, NOW + 9 * HOUR, 1) == 1
    assert store.find_access_key(tx, "TEMP0") is None, "the oldest goes first"
    assert store.purge_temporary_keys(tx, NOW + HOUR, 9) == 0, "its very end is not before it"
    store.revoke_temporary_keys(tx, "id-of-ada")
    assert [store.find_access_key(tx, f"TEMP{number}") for number in range(3)] == [None] * 3
    assert store.find_access_key(tx, "AK") == A_KEY


def test_a_disabled_user_leads_nowhere(tx: Transaction) -> None:
    store.insert_access_key(tx, A_KEY)
    store.insert_token(tx, a_token())
    store.update_user(tx, a_user(enabled=False))
    assert store.find_caller(tx, "digest") is None
    assert store.find_signer(tx, "AK") is None


def test_a_disabled_key_leads_nowhere(tx: Transaction) -> None:
    store.insert_access_key(tx, msgspec.structs.replace(A_KEY, enabled=False))
    assert store.find_signer(tx, "AK") is None


def test_revoking_spares_the_tokens_of_others(tx: Transaction) -> None:
    store.insert_user(tx, a_user("bob"))
    store.insert_token(tx, a_token("one"))
    store.insert_token(tx, a_token("two"))
    store.insert_token(tx, msgspec.structs.replace(a_token("bobs"), user_id="id-of-bob"))
    store.delete_token(tx, "one")
    assert store.find_token(tx, "two") is not None
    store.revoke_tokens(tx, "id-of-ada")
    assert store.find_token(tx, "two") is None
    assert store.find_token(tx, "bobs") is not None


def test_purging_takes_the_oldest_expired_tokens_a_batch_at_a_time(tx: Transaction) -> None:
    for hours in range(5):
        store.insert_token(tx, a_token(f"{hours}", expires_at=NOW + hours * HOUR))
    assert store.purge_tokens(tx, NOW + 3 * HOUR, 2) == 2
    assert [store.find_token(tx, f"{hours}") is None for hours in range(5)] == [True, True, False, False, False]
    assert store.purge_tokens(tx, NOW + 3 * HOUR, 2) == 1
    assert store.purge_tokens(tx, NOW + 3 * HOUR, 2) == 0


def test_no_secret_shows_in_a_repr() -> None:
    assert "a hash" not in repr(a_user())
    assert "a secret" not in repr(A_KEY)
