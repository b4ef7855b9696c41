"""The users of an account: found, added, and changed without locking everybody out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from builders import NOW
from fleetcron.control import keys, tokens, users
from fleetcron.domain.access import Caller, User
from fleetcron.errors import Conflict, NotFound
from fleetcron.store import access as store
from fleetcron.store.database import Database, Transaction
from fleetcron.store.vault import Vault, new_key

ADMIN = User(
    user_id="u-admin",
    account_id="default",
    name="admin",
    description=None,
    password_hash="a hash",
    administrator=True,
    enabled=True,
    created_at=NOW,
)
ADA = msgspec.structs.replace(ADMIN, user_id="u-ada", name="ada", administrator=False)
VAULT = Vault([new_key()], where=Path("secret.keys"))
CALLER = Caller(user_id="u-admin", user_name="admin", account_id="default", administrator=True, project_id=None)


@pytest.fixture
def tx(database: Database) -> Iterator[Transaction]:
    with database.transaction() as tx:
        users.add(tx, ADMIN)
        users.add(tx, ADA)
        yield tx


def test_a_user_is_found_in_its_own_account_alone(tx: Transaction) -> None:
    assert users.own(tx, CALLER, "u-ada") == ADA
    for caller, user_id in ((CALLER, "nobody"), (msgspec.structs.replace(CALLER, account_id="other"), "u-ada")):
        with pytest.raises(NotFound):
            users.own(tx, caller, user_id)


def test_a_name_is_given_once(tx: Transaction) -> None:
    with pytest.raises(Conflict, match="ada"):
        users.add(tx, msgspec.structs.replace(ADA, user_id="another"))


@pytest.mark.parametrize(
    ("changes", "ends"),
    [
        ({"password_hash": "another"}, True),
        ({"enabled": False}, True),
        ({"description": "night shift"}, False),
        ({"enabled": True}, False),
    ],
)
def test_a_new_password_or_a_disabling_ends_what_was_issued_for_a_while(
    tx: Transaction, changes: dict[str, object], ends: bool
) -> None:
    account = store.find_account(tx, "default")
    assert account is not None
    tokens.issue(tx, ADA, account, None, NOW)
    temporary = keys.issue_temporary(tx, VAULT, "u-ada", 900, NOW)
    permanent = keys.issue(tx, VAULT, ADA, None, NOW)
    assert users.change(tx, ADA, changes) == msgspec.structs.replace(ADA, **changes)
    left = (store.find_access_key(tx, temporary.access_key), tx.execute("SELECT * FROM tokens").fetchone())
    assert [one is None for one in left] == [ends, ends]
    assert store.find_access_key(tx, permanent.access_key) is not None


def test_the_last_administrator_stays(tx: Transaction) -> None:
    with pytest.raises(Conflict, match="last administrator"):
        users.change(tx, ADMIN, {"enabled": False})
    with pytest.raises(Conflict, match="last administrator"):
        users.keep_an_administrator(tx, ADMIN)
    users.keep_an_administrator(tx, ADA)
