"""Passwords: hashed with argon2, a few at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import argon2

from fleetcron.errors import Unavailable

# argon2 takes 64 MiB a time; without a bound, sign-ins could exhaust the memory.
AT_ONCE_MAX = 2
WAIT_SECONDS = 10.0


class Passwords:
    """Hashes and verifies, each in a tenth of a second by design: never while a transaction is open to others.

    ``hasher`` None is argon2 at its recommended cost; what was hashed at another cost is verified as well.

    Raises:
        Unavailable: from both methods, when the queue for a turn is longer than ``WAIT_SECONDS``.
    """

    def __init__(self, hasher: argon2.PasswordHasher | None = None) -> None:
        self._hasher = hasher or argon2.PasswordHasher()
        self._turns = threading.BoundedSemaphore(AT_ONCE_MAX)
        self._decoy = self._hasher.hash("nobody's password")

    def hash(self, password: str) -> str:
        """The text to keep: algorithm, cost, salt and digest."""
        with self._turn():
            return self._hasher.hash(password)

    def verify(self, kept: str | None, password: str) -> bool:
        """Whether this is the password; with nothing kept it is not, and takes as long to say so."""
        with self._turn():
            try:
                self._hasher.verify(kept or self._decoy, password)
            except argon2.exceptions.VerificationError:
                return False
        return kept is not None

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._turns.acquire(timeout=WAIT_SECONDS):
            raise Unavailable("too many passwords are being checked at once")
        try:
            yield
        finally:
            self._turns.release()
