"""Tokens: what is kept of them, and what they are looked up as."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import argon2
import msgspec
import pytest

from builders import eventually
from databases import somebody_waits
from fleetcron.control import tokens, users
from fleetcron.control.access import Access
from fleetcron.control.passwords import Passwords
from fleetcron.domain.access import Account, Project, ProjectScope, User
from fleetcron.errors import NotFound, StaleToken, Unauthenticated
from fleetcron.store import access as store
from fleetcron.store.database import Database, Transaction
from fleetcron.store.postgresql import PostgresqlDatabase
from fleetcron.store.vault import Vault

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOME = Account(account_id="a", name="home", created_at=NOW)
ADA = User(
    user_id="u-ada",
    account_id="a",
    name="ada",
    description=None,
    password_hash="a hash",
    administrator=False,
    enabled=True,
    created_at=NOW,
)


@pytest.fixture
def tx(bare_database: Database) -> Iterator[Transaction]:
    with bare_database.transaction() as tx:
        store.insert_account(tx, HOME)
        store.insert_project(tx, Project(project_id="p", account_id="a", name="north", created_at=NOW))
        store.insert_user(tx, ADA)
        yield tx


def test_a_digest_is_of_the_text_and_tells_nothing_of_it() -> None:
    assert tokens.digest_of("one") == tokens.digest_of("one")
    assert tokens.digest_of("one") != tokens.digest_of("two")
    assert len(bytes.fromhex(tokens.digest_of("one"))) == 32


def test_what_was_issued_is_what_is_found(tx: Transaction) -> None:
    plain, issued = tokens.issue(tx, ADA, HOME, ProjectScope(name="north", account="home"), NOW)
    assert issued.project is not None
    assert issued.expires_at == NOW + tokens.LIFETIME
    assert tokens.signed_in(tx, "a", plain, NOW) == issued


def test_a_token_is_found_in_its_own_account_alone(tx: Transaction) -> None:
    store.insert_account(tx, Account(account_id="b", name="other", created_at=NOW))
    plain, _ = tokens.issue(tx, ADA, HOME, None, NOW)
    for account_id in ("b", "nowhere"):
        with pytest.raises(NotFound):
            tokens.signed_in(tx, account_id, plain, NOW)


def test_a_token_of_a_disabled_user_is_not_found(tx: Transaction) -> None:
    plain, _ = tokens.issue(tx, ADA, HOME, None, NOW)
    store.update_user(tx, msgspec.structs.replace(ADA, enabled=False))
    with pytest.raises(NotFound):
        tokens.signed_in(tx, "a", plain, NOW)


def test_issuing_forgets_no_more_than_a_batch(tx: Transaction) -> None:
    for _ in range(tokens.PURGE_BATCH_MAX + 1):
        tokens.issue(tx, ADA, HOME, None, NOW)
    tokens.issue(tx, ADA, HOME, None, NOW + 3 * tokens.LIFETIME)
    assert tx.execute("SELECT count(*) FROM tokens").fetchone() == (2,)


def test_a_token_is_exchanged_for_another_scope_and_lives_no_longer(tx: Transaction) -> None:
    plain, issued = tokens.issue(tx, ADA, HOME, None, NOW)
    later = NOW + timedelta(hours=23)
    other, there = tokens.exchange(tx, plain, ProjectScope(name="north"), later)
    assert other != plain
    assert there.project is not None
    assert (there.project.name, there.issued_at, there.expires_at) == ("north", later, issued.expires_at)
    assert tokens.signed_in(tx, "a", other, later) == there
    assert tokens.signed_in(tx, "a", plain, later) == issued


def test_what_is_no_good_is_not_exchanged(tx: Transaction) -> None:
    plain, _ = tokens.issue(tx, ADA, HOME, None, NOW)
    with pytest.raises(Unauthenticated):
        tokens.exchange(tx, "guessed", None, NOW)
    with pytest.raises(Unauthenticated):
        tokens.exchange(tx, plain, ProjectScope(name="elsewhere"), NOW)
    with pytest.raises(StaleToken):
        tokens.exchange(tx, plain, None, NOW + tokens.LIFETIME)
    store.update_user(tx, msgspec.structs.replace(ADA, enabled=False))
    with pytest.raises(Unauthenticated):
        tokens.exchange(tx, plain, None, NOW)


def test_a_token_knows_the_regions_that_it_is_good_for(tx: Transaction) -> None:
    store.insert_project(tx, Project(project_id="p2", account_id="a", name="south", created_at=NOW))
    assert tokens.issue(tx, ADA, HOME, None, NOW)[1].regions == ("north", "south")
    assert tokens.issue(tx, ADA, HOME, ProjectScope(name="south"), NOW)[1].regions == ("south",)


@pytest.mark.parametrize("exchanged", [False, True])
def test_no_token_outlives_the_password_that_it_was_issued_for(
    postgresql_database: PostgresqlDatabase, vault: Vault, *, exchanged: bool
) -> None:
    """Whoever signs in while the password is being changed is either before that, and revoked, or after it."""
    cheap = Passwords(argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    access = Access(postgresql_database, cheap, vault)
    bob = msgspec.structs.replace(ADA, user_id="u-bob", account_id="default", password_hash=cheap.hash("old"))
    with postgresql_database.transaction() as tx:
        store.insert_user(tx, bob)
    first, _ = access.sign_in(bob.name, "home", "old", None, NOW)

    def come_in() -> str:
        if exchanged:
            return access.exchange(first, None, NOW)[0]
        return access.sign_in(bob.name, "home", "old", None, NOW)[0]

    with ThreadPoolExecutor(1) as other:
        with postgresql_database.transaction() as tx:
            users.change(tx, bob, {"password_hash": cheap.hash("new")})
            coming = other.submit(come_in)
            eventually(lambda: coming.done() or somebody_waits(postgresql_database))
        with pytest.raises(Unauthenticated):
            coming.result()
    with postgresql_database.snapshot() as tx:
        assert tx.execute("SELECT count(*) FROM tokens").fetchone() == (0,)
