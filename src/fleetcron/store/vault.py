"""Secrets that must be given back as they were: sealed before they are written, with keys that lie beside the database.

Whoever has only the database, or a copy of it, has no secret. Sealed text says so by its first letters, so that what an
older fleetcron wrote plainly is found and sealed at the next start.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from fleetcron.errors import BadSettings
from fleetcron.store.database import Database, Transaction

log = logging.getLogger(__name__)

KEYS_NAME = "secret.keys"

KEYS_MAX = 32
"""Keys of one vault: each is tried in turn when an old secret is opened."""

SEALED: Final = "fernet:"

# Where sealed text is kept: the table, its key and the column.
_PLACES: Final = (("access_keys", "access_key", "secret_key"),)


class Vault:
    """Seals text with the first of its keys, and opens what any of them has sealed.

    Several threads may use it at once. Neither its repr nor its errors show a key or a secret.

    Raises:
        BadSettings: there is no key or there are too many, or one is not a Fernet key; names ``where`` they lie.
    """

    def __init__(self, keys: Sequence[str], *, where: Path) -> None:
        if not 1 <= len(keys) <= KEYS_MAX:
            raise BadSettings(str(where), f"must hold 1 to {KEYS_MAX} keys, one a line, the newest first")
        self.where = where
        self._keys = MultiFernet([_fernet(key, number, where) for number, key in enumerate(keys, start=1)])

    def seal(self, text: str) -> str:
        """The text as it may be written down; the same text is never sealed alike twice."""
        return SEALED + self._keys.encrypt(text.encode()).decode()

    def open(self, sealed: str) -> str:
        """What was sealed.

        Raises:
            BadSettings: it is not sealed with a key of this vault.
        """
        if not sealed.startswith(SEALED):
            raise BadSettings(str(self.where), "was given something to open that is not sealed")
        try:
            return self._keys.decrypt(sealed.removeprefix(SEALED)).decode()
        except (InvalidToken, ValueError) as error:
            reason = "lacks the key of secrets in the database; put back the file that was there, or add its lines"
            raise BadSettings(str(self.where), reason) from error

    def reseal(self, sealed: str) -> str:
        """What was sealed with any of the keys, sealed with the first; raises as ``open``."""
        return self.seal(self.open(sealed))


def new_key() -> str:
    """A fresh key, as the file holds it."""
    return Fernet.generate_key().decode()


def open_vault(database: Database, path: Path | None = None) -> Vault:
    """The vault of a database, with nothing plain left in the database and nothing that the vault cannot open.

    ``path`` names a file of keys that somebody else looks after; by default it is KEYS_NAME in the database's folder,
    made at the first start. A database without a folder has no default.

    Raises:
        BadSettings: the file is missing though it was named or has sealed secrets already, it cannot be read, its keys
            are not those that the secrets were sealed with, or none is named and there is no default. The database is
            left as it is.
    """
    vault = Vault(_keys(database, path), where=_where(database, path))
    with database.snapshot() as tx:
        kept = [text for *_, text in _kept(tx)]
    for text in filter(_is_sealed, kept):
        vault.open(text)
    if not all(map(_is_sealed, kept)):
        _rewrite(database, lambda text: text if _is_sealed(text) else vault.seal(text))
        log.info("sealed the secrets that an older fleetcron kept plainly")
    return vault


def rotate(database: Database, path: Path | None = None, *, drop_old: bool = False) -> int:
    """Put a new key before the others and seal every secret with it; how many they are.

    The old keys stay, for copies of the database that are older than this; ``drop_old`` forgets them once nothing in
    the database needs them. Wherever it is interrupted, the file opens what the database holds.

    Raises:
        BadSettings: as ``open_vault``; or the file cannot be written, or is full of old keys.
    """
    where = open_vault(database, path).where
    old = _read(where)
    if len(old) == KEYS_MAX:
        reason = f"holds {KEYS_MAX} keys, the most it may; delete its last lines, which only old copies still need"
        raise BadSettings(str(where), reason)
    keys = [new_key(), *old]
    _write(where, keys)
    count = _rewrite(database, Vault(keys, where=where).reseal)
    if drop_old:
        _write(where, keys[:1])
    return count


def _keys(database: Database, path: Path | None) -> list[str]:
    """The keys in the file, which is made where there can be no other yet."""
    where = _where(database, path)
    if where.exists():
        return _read(where)
    if path is not None:
        raise BadSettings(str(where), "does not exist; `fleetcron secrets key` prints a key to put there")
    with database.snapshot() as tx:
        if any(text.startswith(SEALED) for *_, text in _kept(tx)):
            reason = "is missing, and without it the secrets in the database cannot be read; put it back from a backup"
            raise BadSettings(str(where), reason)
    _write(where, [new_key()])
    return _read(where)


def _where(database: Database, path: Path | None) -> Path:
    if path is None and database.folder is None:
        reason = "must name the file of keys, the same on every node; `fleetcron secrets key` prints a key to put there"
        raise BadSettings("FLEETCRON_SECRET_KEYS_FILE", reason)
    return path or Path(database.folder or "") / KEYS_NAME


def _fernet(key: str, number: int, where: Path) -> Fernet:
    try:
        return Fernet(key)
    except ValueError:
        # Not chained: the cause could show what was read.
        reason = f"key {number} is not a Fernet key; `fleetcron secrets key` prints one"
        raise BadSettings(str(where), reason) from None


def _kept(tx: Transaction) -> list[tuple[str, str, str, str, str]]:
    """Every secret in the database, after its place: table, name of the key, column, and the row's key."""
    return [
        (table, key, column, *row)
        for table, key, column in _PLACES
        for row in tx.execute(f"SELECT {key}, {column} FROM {table}")  # noqa: S608  (names are our own)
    ]


def _is_sealed(text: str) -> bool:
    return text.startswith(SEALED)


def _rewrite(database: Database, change: Callable[[str], str]) -> int:
    """Change every secret, and leave nothing of what stood there; how many they are."""
    with database.overwriting() as tx:
        # Two nodes may start together on what an older fleetcron kept plainly.
        tx.take_turn("identity")
        kept = _kept(tx)
        for table, key, column, row, text in kept:
            tx.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", (change(text), row))  # noqa: S608  (the same)
    return len(kept)


def _read(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="ascii")
        open_to_others = path.stat().st_mode & 0o077
    except OSError as error:
        raise BadSettings(str(path), f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise BadSettings(str(path), "is no file of keys") from None
    if open_to_others:
        log.warning("%s can be read by other users; only the service should be able to (chmod 600)", path)
    return [line.strip() for line in text.splitlines() if line.strip()]


def _write(path: Path, keys: Sequence[str]) -> None:
    """Replace the file as a whole, readable to its owner alone; it survives a power cut before anything is sealed."""
    name = None
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            _give_to_the_owner(descriptor, path)
            file.write("".join(f"{key}\n" for key in keys))
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
        _sync(path.parent)
    except OSError as error:
        if name is not None:
            with suppress(OSError):
                Path(name).unlink()
        raise BadSettings(str(path), f"cannot be written: {error.strerror}") from error


def _give_to_the_owner(descriptor: int, path: Path) -> None:
    """What root writes must still be readable for the user as whom the service runs."""
    if os.geteuid() == 0:
        model = (path if path.exists() else path.parent).stat()
        os.fchown(descriptor, model.st_uid, model.st_gid)


def _sync(folder: Path) -> None:
    """Let the folder's names survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
