"""What time it is, and ids that go by it."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import uuid_utils


def now() -> datetime:
    """The clock of this machine: UTC, in the whole milliseconds that the database keeps."""
    return datetime.fromtimestamp(time.time_ns() // 1_000_000 / 1000, UTC)


def elapsed() -> float:
    """Seconds since some moment in the past: nobody sets them, and they go on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def new_id() -> str:
    """An id that nobody else has; later ones sort after earlier ones, which keeps the indexes' ends together."""
    return str(uuid_utils.uuid7())
