"""What was looked up a moment ago: every call asks who sends it, and the same few callers send most of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Generic, TypeVar

REMEMBERED_SECONDS = 1.0
REMEMBERED_MAX = 4096

Found = TypeVar("Found")


class Recent(Generic[Found]):
    """Remembers up to REMEMBERED_MAX findings, each for REMEMBERED_SECONDS at most.

    So nothing that was taken back elsewhere is believed for longer; what is taken back here is forgotten at once
    (``forget``). A clock that was set back forgets, too.
    """

    def __init__(self) -> None:
        self._found: dict[str, tuple[datetime, Found]] = {}

    def recall(self, key: str, now: datetime) -> Found | None:
        """What was found under this key, if that is not too long ago."""
        remembered = self._found.get(key)
        if remembered is None:
            return None
        at, found = remembered
        return found if at <= now < at + timedelta(seconds=REMEMBERED_SECONDS) else None

    def remember(self, key: str, found: Found, now: datetime) -> Found:
        """Keep what was found, and return it."""
        if len(self._found) >= REMEMBERED_MAX:
            self._found.clear()
        self._found[key] = (now, found)
        return found

    def forget(self) -> None:
        """Forget everything: somebody's rights have changed."""
        self._found.clear()
