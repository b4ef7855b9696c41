"""Endpoints that a worker reaches."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders import Clock
from fleetcron.assembly.endpoints import open_endpoints
from fleetcron.domain import fleet
from fleetcron.errors import BadSettings


def test_each_endpoint_is_opened_with_its_driver_and_remembers_in_the_folder(tmp_path: Path, clock: Clock) -> None:
    said = [fleet.Endpoint(name=name, driver="simulated") for name in ("north", "south")]
    assert set(open_endpoints(said, tmp_path, clock)) == {"north", "south"}
    assert len(list(tmp_path.iterdir())) == 2


def test_a_driver_that_nobody_knows_is_refused(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(BadSettings, match="unheard-of"):
        open_endpoints([fleet.Endpoint(name="north", driver="unheard-of")], tmp_path, clock)
