"""Access keys: issued for good or for a while, and checked when somebody signs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from builders import NOW
from fleetcron.control import keys, users
from fleetcron.domain.access import (
    ACCESS_KEYS_MAX,
    TEMPORARY_KEY_SECONDS_MAX,
    TEMPORARY_KEY_SECONDS_MIN,
    Caller,
    Signer,
    TemporaryKey,
    User,
)
from fleetcron.errors import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from fleetcron.store import access as store
from fleetcron.store.database import Database, Transaction
from fleetcron.store.vault import Vault, new_key

ADA = User(
    user_id="u-ada",
    account_id="default",
    name="ada",
    description=None,
    password_hash="a hash",
    administrator=False,
    enabled=True,
    created_at=NOW,
)
VAULT = Vault([new_key()], where=Path("secret.keys"))
QUARTER = timedelta(seconds=TEMPORARY_KEY_SECONDS_MIN)


@pytest.fixture
def tx(database: Database) -> Iterator[Transaction]:
    with database.transaction() as tx:
        users.add(tx, ADA)
        yield tx


def a_caller(user_id: str = "u-ada", *, administrator: bool = False, account_id: str = "default") -> Caller:
    return Caller(user_id=user_id, user_name="ada", account_id=account_id, administrator=administrator, project_id=None)


def signer_of(tx: Transaction, access_key: str) -> Signer:
    signer = store.find_signer(tx, access_key)
    assert signer is not None
    return signer


@pytest.fixture
def temporary(tx: Transaction) -> TemporaryKey:
    return keys.issue_temporary(tx, VAULT, "u-ada", TEMPORARY_KEY_SECONDS_MIN, NOW)


def test_a_temporary_key_holds_with_its_security_token_until_its_end(tx: Transaction, temporary: TemporaryKey) -> None:
    assert temporary.expires_at == NOW + QUARTER
    signer = signer_of(tx, temporary.access_key)
    assert signer.caller.temporary
    keys.check(signer, temporary.security_token, NOW + QUARTER - timedelta(milliseconds=1))
    with pytest.raises(Unauthenticated, match="expired"):
        keys.check(signer, temporary.security_token, NOW + QUARTER)


def test_the_security_token_has_to_be_the_keys_own(tx: Transaction, temporary: TemporaryKey) -> None:
    other = keys.issue_temporary(tx, VAULT, "u-ada", TEMPORARY_KEY_SECONDS_MIN, NOW)
    for sent in (None, "", "guessed", other.security_token, temporary.security_token + "x"):
        with pytest.raises(Unauthenticated, match="does not belong"):
            keys.check(signer_of(tx, temporary.access_key), sent, NOW)


def test_a_permanent_key_has_no_security_token(tx: Transaction, temporary: TemporaryKey) -> None:
    signer = signer_of(tx, keys.issue(tx, VAULT, ADA, "ci", NOW).access_key)
    keys.check(signer, None, NOW + timedelta(days=9999))
    for sent in ("", "anything", temporary.security_token):
        with pytest.raises(Unauthenticated, match="does not belong"):
            keys.check(signer, sent, NOW)


def test_the_database_gives_no_secret_away(tx: Transaction, temporary: TemporaryKey) -> None:
    kept = str(tx.execute("SELECT * FROM access_keys").fetchall())
    assert temporary.security_token not in kept
    assert temporary.secret_key not in kept
    assert VAULT.open(signer_of(tx, temporary.access_key).secret_key) == temporary.secret_key
    for said in (repr(temporary), repr(signer_of(tx, temporary.access_key))):
        assert temporary.secret_key not in said
        assert temporary.security_token not in said


@pytest.mark.parametrize("seconds", [TEMPORARY_KEY_SECONDS_MIN - 1, TEMPORARY_KEY_SECONDS_MAX + 1, 0, -1])
def test_a_duration_out_of_bounds_is_refused(tx: Transaction, seconds: int) -> None:
    with pytest.raises(Invalid, match="duration_seconds must be from 900 to 86400"):
        keys.issue_temporary(tx, VAULT, "u-ada", seconds, NOW)


def test_temporary_keys_are_bounded_and_expired_ones_make_room(
    tx: Transaction, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleetcron.control.keys.TEMPORARY_KEYS_MAX", 2)
    for _ in range(2):
        keys.issue_temporary(tx, VAULT, "u-ada", TEMPORARY_KEY_SECONDS_MIN, NOW)
    with pytest.raises(Conflict):
        keys.issue_temporary(tx, VAULT, "u-ada", TEMPORARY_KEY_SECONDS_MIN, NOW)
    keys.issue_temporary(tx, VAULT, "u-ada", TEMPORARY_KEY_SECONDS_MIN, NOW + QUARTER)


def test_temporary_keys_take_no_permanent_ones_place(tx: Transaction) -> None:
    for _ in range(ACCESS_KEYS_MAX):
        keys.issue_temporary(tx, VAULT, "u-ada", TEMPORARY_KEY_SECONDS_MIN, NOW)
        keys.issue(tx, VAULT, ADA, None, NOW)
    with pytest.raises(Conflict, match="ada has 2 access keys"):
        keys.issue(tx, VAULT, ADA, None, NOW)


def test_expired_keys_are_forgotten_in_batches(tx: Transaction, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleetcron.control.keys.PURGE_BATCH_MAX", 2)
    for _ in range(3):
        keys.issue_temporary(tx, VAULT, "u-ada", TEMPORARY_KEY_SECONDS_MIN, NOW)
    keys.issue_temporary(tx, VAULT, "u-ada", TEMPORARY_KEY_SECONDS_MIN, NOW + 2 * QUARTER)
    assert tx.execute("SELECT count(*) FROM access_keys").fetchone() == (2,)


def test_who_may_see_to_a_key(tx: Transaction) -> None:
    key = keys.issue(tx, VAULT, ADA, None, NOW)
    for caller in (a_caller(), a_caller("u-admin", administrator=True)):
        assert keys.owned(tx, caller, key.access_key).user_id == "u-ada"
    with pytest.raises(Forbidden):
        keys.owned(tx, a_caller("u-bob"), key.access_key)
    with pytest.raises(NotFound):
        keys.owned(tx, a_caller("u-m", administrator=True, account_id="other"), key.access_key)
    with pytest.raises(NotFound):
        keys.owned(tx, a_caller(), "AKNOBODY")


def test_a_temporary_key_gives_no_other_key(tx: Transaction, temporary: TemporaryKey) -> None:
    with pytest.raises(Forbidden, match="temporary"):
        keys.refuse_temporary(signer_of(tx, temporary.access_key).caller)
    keys.refuse_temporary(a_caller())
