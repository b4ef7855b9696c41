"""What is sealed is in no file, comes back as it was, and is never lost for a wrong key."""

from __future__ import annotations

import logging
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import NOW
from fleetcron.domain.access import AccessKey, Account, User
from fleetcron.errors import BadSettings
from fleetcron.store import access
from fleetcron.store import vault as vaults
from fleetcron.store.database import Database
from fleetcron.store.postgresql import PostgresqlDatabase
from fleetcron.store.sqlite import SqliteDatabase
from fleetcron.store.vault import KEYS_MAX, KEYS_NAME, SEALED, Vault, new_key, open_vault, rotate

SECRET = "a-secret-that-nobody-may-find"
WHERE = Path("secret.keys")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def kept(folder: Path) -> Iterator[Database]:
    """A database as an older fleetcron left it, with two plain secrets."""
    with closing(SqliteDatabase(folder)) as database:
        write_plain(database)
        yield database


def write_plain(database: Database) -> None:
    with database.transaction() as tx:
        access.insert_account(tx, Account(account_id="a", name="a", created_at=NOW))
        access.insert_user(
            tx,
            User(
                user_id="u",
                account_id="a",
                name="u",
                description=None,
                password_hash="-",
                administrator=True,
                enabled=True,
                created_at=NOW,
            ),
        )
        for name in ("AK1", "AK2"):
            key = AccessKey(
                access_key=name,
                secret_key=f"{SECRET}-{name}",
                user_id="u",
                description=None,
                enabled=True,
                created_at=NOW,
            )
            access.insert_access_key(tx, key)


def secret_of(database: Database, access_key: str) -> str:
    with database.snapshot() as tx:
        (text,) = tx.execute("SELECT secret_key FROM access_keys WHERE access_key = ?", (access_key,)).fetchone()
    return str(text)


def files_with(folder: Path, text: str) -> list[str]:
    return [path.name for path in sorted(folder.iterdir()) if text.encode() in path.read_bytes()]


def keys_in(folder: Path) -> list[str]:
    return (folder / KEYS_NAME).read_text().split()


@given(st.text())
def test_what_was_sealed_comes_back_and_cannot_be_read(text: str) -> None:
    vault = Vault([new_key()], where=WHERE)
    sealed = vault.seal(text)
    assert vault.open(sealed) == text
    assert sealed.startswith(SEALED)
    assert sealed != vault.seal(text)


def test_an_older_key_still_opens_and_the_newest_seals() -> None:
    old, new = new_key(), new_key()
    sealed = Vault([old], where=WHERE).seal(SECRET)
    both = Vault([new, old], where=WHERE)
    assert both.open(sealed) == SECRET
    assert Vault([new], where=WHERE).open(both.reseal(sealed)) == SECRET
    with pytest.raises(BadSettings, match=r"secret\.keys"):
        Vault([new], where=WHERE).open(sealed)


@pytest.mark.parametrize("text", ["", "plain", SEALED, f"{SEALED}nonsense", f"{SEALED}ünsinn"])
def test_what_is_not_sealed_is_not_opened(text: str) -> None:
    with pytest.raises(BadSettings, match=r"secret\.keys"):
        Vault([new_key()], where=WHERE).open(text)


def test_what_was_changed_is_not_opened() -> None:
    vault = Vault([new_key()], where=WHERE)
    sealed = vault.seal(SECRET)
    for place in range(len(SEALED), len(sealed) - 2):
        changed = sealed[:place] + ("A" if sealed[place] != "A" else "B") + sealed[place + 1 :]
        with pytest.raises(BadSettings):
            vault.open(changed)


@pytest.mark.parametrize("keys", [[], [new_key()] * (KEYS_MAX + 1), ["too short"], [new_key(), "not-a-key"]])
def test_keys_that_are_none_are_refused_and_not_shown(keys: list[str]) -> None:
    with pytest.raises(BadSettings, match=r"secret\.keys") as refusal:
        Vault(keys, where=WHERE)
    assert not any(key in str(refusal.value) for key in keys)
    assert refusal.value.__cause__ is None


def test_a_vault_shows_neither_keys_nor_secrets() -> None:
    key = new_key()
    vault = Vault([key], where=WHERE)
    assert key not in repr(vault)
    with pytest.raises(BadSettings) as refusal:
        vault.open(SECRET)
    assert SECRET not in str(refusal.value)


def test_the_first_start_makes_a_key_for_its_owner_alone_and_later_ones_leave_it(folder: Path) -> None:
    with closing(SqliteDatabase(folder)) as database:
        sealed = open_vault(database).seal(SECRET)
        assert stat.S_IMODE((folder / KEYS_NAME).stat().st_mode) == 0o600
        assert open_vault(database).open(sealed) == SECRET
    assert len(keys_in(folder)) == 1
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_plain_secrets_are_sealed_at_the_start_and_then_are_in_no_file(
    kept: Database, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    assert files_with(folder, SECRET) != []
    vault = open_vault(kept)
    assert files_with(folder, SECRET) == []
    assert vault.open(secret_of(kept, "AK1")) == f"{SECRET}-AK1"
    assert vault.open(secret_of(kept, "AK2")) == f"{SECRET}-AK2"
    assert SECRET not in caplog.text
    assert not any(key in caplog.text for key in keys_in(folder))


def test_sealing_again_changes_nothing(kept: Database) -> None:
    open_vault(kept)
    sealed = secret_of(kept, "AK1")
    open_vault(kept)
    assert secret_of(kept, "AK1") == sealed


def test_a_start_that_sealed_half_is_completed_by_the_next(kept: Database, folder: Path) -> None:
    vault = open_vault(kept)
    with kept.transaction() as tx:
        tx.execute("UPDATE access_keys SET secret_key = ? WHERE access_key = 'AK2'", (SECRET,))
    assert vault.open(secret_of(kept, "AK1")) == f"{SECRET}-AK1"
    assert open_vault(kept).open(secret_of(kept, "AK2")) == SECRET
    assert files_with(folder, SECRET) == []


def test_a_missing_key_is_said_and_no_other_is_made(kept: Database, folder: Path) -> None:
    open_vault(kept)
    sealed, keys = secret_of(kept, "AK1"), (folder / KEYS_NAME).read_text()
    (folder / KEYS_NAME).unlink()
    with pytest.raises(BadSettings, match=r"secret\.keys.*put it back"):
        open_vault(kept)
    assert not (folder / KEYS_NAME).exists()
    assert secret_of(kept, "AK1") == sealed
    (folder / KEYS_NAME).write_text(keys)
    assert open_vault(kept).open(sealed) == f"{SECRET}-AK1"


def test_a_wrong_key_is_said_and_nothing_is_changed(kept: Database, folder: Path) -> None:
    open_vault(kept)
    sealed = secret_of(kept, "AK1")
    (folder / KEYS_NAME).write_text(new_key())
    with pytest.raises(BadSettings, match=r"secret\.keys.*put back"):
        open_vault(kept)
    assert secret_of(kept, "AK1") == sealed


def test_a_file_of_keys_that_is_named_must_be_there(kept: Database, folder: Path, tmp_path: Path) -> None:
    named = tmp_path / "elsewhere"
    with pytest.raises(BadSettings, match=r"elsewhere.*fleetcron secrets key"):
        open_vault(kept, named)
    assert not named.exists()
    named.write_text(f"{new_key()}\n\n")
    assert open_vault(kept, named).open(secret_of(kept, "AK1")) == f"{SECRET}-AK1"
    assert not (folder / KEYS_NAME).exists()


def test_a_database_without_a_folder_has_no_file_of_keys_by_itself(
    postgresql_database: PostgresqlDatabase, tmp_path: Path
) -> None:
    for use in (open_vault, rotate):
        with pytest.raises(BadSettings, match=r"FLEETCRON_SECRET_KEYS_FILE: must name.*fleetcron secrets key"):
            use(postgresql_database)
    write_plain(postgresql_database)
    named = tmp_path / "keys"
    named.write_text(f"{new_key()}\n")
    nodes = [open_vault(postgresql_database, named) for _ in range(2)]
    assert [node.open(secret_of(postgresql_database, "AK1")) for node in nodes] == [f"{SECRET}-AK1"] * 2
    assert rotate(postgresql_database, named, drop_old=True) == 2
    assert open_vault(postgresql_database, named).open(secret_of(postgresql_database, "AK2")) == f"{SECRET}-AK2"


@pytest.mark.parametrize("content", [b"", b"\n", b"nonsense\n", b"\xff\xfe"])
def test_a_file_that_holds_no_keys_is_refused(kept: Database, folder: Path, content: bytes) -> None:
    (folder / KEYS_NAME).write_bytes(content)
    with pytest.raises(BadSettings, match=r"secret\.keys"):
        open_vault(kept)
    assert secret_of(kept, "AK1") == f"{SECRET}-AK1"


def test_a_folder_in_place_of_the_file_is_refused(kept: Database, folder: Path) -> None:
    (folder / KEYS_NAME).mkdir()
    with pytest.raises(BadSettings, match="cannot be read"):
        open_vault(kept)


def test_keys_that_others_can_read_are_warned_of(
    kept: Database, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    open_vault(kept)
    assert caplog.records == [] or "chmod" not in caplog.text
    (folder / KEYS_NAME).chmod(0o640)
    open_vault(kept)
    assert "chmod 600" in caplog.text


def test_a_rotation_seals_everything_with_a_new_key_and_keeps_the_old(kept: Database, folder: Path) -> None:
    open_vault(kept)
    before, sealed = keys_in(folder), secret_of(kept, "AK1")
    assert rotate(kept) == 2
    fresh, *rest = keys_in(folder)
    assert rest == before
    assert fresh not in before
    assert Vault([fresh], where=WHERE).open(secret_of(kept, "AK1")) == f"{SECRET}-AK1"
    assert files_with(folder, sealed) == []
    # An old copy of the database can still be read.
    assert open_vault(kept).open(sealed) == f"{SECRET}-AK1"


def test_old_keys_are_dropped_when_that_is_wanted(kept: Database, folder: Path) -> None:
    open_vault(kept)
    before = keys_in(folder)
    rotate(kept, drop_old=True)
    assert len(keys_in(folder)) == 1
    assert keys_in(folder) != before
    assert open_vault(kept).open(secret_of(kept, "AK2")) == f"{SECRET}-AK2"
    assert stat.S_IMODE((folder / KEYS_NAME).stat().st_mode) == 0o600


@pytest.mark.parametrize("moment", ["_write", "_rewrite"])
def test_an_interrupted_rotation_loses_nothing(
    kept: Database, folder: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_vault(kept)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(vaults, moment, die)
        with pytest.raises(KeyboardInterrupt):
            rotate(kept, drop_old=True)
    vault = open_vault(kept)
    assert vault.open(secret_of(kept, "AK1")) == f"{SECRET}-AK1"
    assert rotate(kept, drop_old=True) == 2
    assert len(keys_in(folder)) == 1


def test_a_full_file_is_said_before_anything_is_changed(kept: Database, folder: Path) -> None:
    keys = "\n".join(new_key() for _ in range(KEYS_MAX))
    (folder / KEYS_NAME).write_text(keys)
    with pytest.raises(BadSettings, match="last lines"):
        rotate(kept)
    assert (folder / KEYS_NAME).read_text() == keys
