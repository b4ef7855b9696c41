"""The wing that goes by the clock."""

from __future__ import annotations

import pytest

from builders import eventually
from fleetcron.assembly.clock import now
from fleetcron.assembly.engine import UNKNOWN_DRIVER, Engine, EngineSettings, Routes, serve_engine
from fleetcron.assembly.settings import Tuning
from fleetcron.dispatch.local import LocalLine
from fleetcron.domain.fleet import DEFAULT_SITE, Reach
from fleetcron.errors import BadSettings
from fleetcron.store import fleet
from fleetcron.store.database import Database


class Seconds:
    """A monotonic clock that stands until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_an_engine_lives_from_its_start_until_it_has_left(database: Database) -> None:
    engine = Engine(database, LocalLine(), Tuning(), clock=now)
    assert not engine.is_alive()
    assert engine.trouble() == "has ended"
    engine.start()
    assert (engine.is_alive(), engine.trouble()) == (True, None)
    engine.leave()
    eventually(lambda: not engine.is_alive())
    engine.stop()
    assert engine.trouble() == "has ended"


def test_a_route_is_what_the_table_says_and_is_asked_anew_after_a_while(database: Database) -> None:
    seconds = Seconds()
    routes = Routes(database, clock=seconds)
    assert routes("lab") == (DEFAULT_SITE, UNKNOWN_DRIVER)
    with database.transaction() as tx:
        fleet.replace_endpoints(tx, [Reach(name="lab", driver="simulated", site="north", concurrency_max=5)])
    assert routes("lab") == (DEFAULT_SITE, UNKNOWN_DRIVER)
    seconds.now += 3
    assert routes("lab") == ("north", "simulated")


def test_an_endpoint_that_is_gone_is_known_to_have_been_where_it_was(database: Database) -> None:
    seconds = Seconds()
    routes = Routes(database, clock=seconds)
    for reaches in ([Reach(name="lab", driver="simulated", site="north", concurrency_max=5)], []):
        with database.transaction() as tx:
            fleet.replace_endpoints(tx, reaches)
        assert routes("lab") == ("north", "simulated")
        seconds.now += 3
    assert routes("lab") == ("north", "simulated")


def test_an_engine_that_is_not_told_of_a_line_does_not_start() -> None:
    settings = EngineSettings(database="postgresql://user:hush@host/db")
    with pytest.raises(BadSettings, match="FLEETCRON_NATS"):
        serve_engine(settings, lambda _: None)
    assert "hush" not in repr(settings)
