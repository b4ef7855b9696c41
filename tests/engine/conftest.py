from __future__ import annotations

from collections.abc import Iterator

import pytest

from builders import Clock
from engine_bench import Engine
from fleetcron.store.database import Database


@pytest.fixture
def engine(database: Database, clock: Clock) -> Iterator[Engine]:
    """An engine over an empty fleet, at NOW."""
    engine = Engine(database, clock)
    yield engine
    engine.close()
