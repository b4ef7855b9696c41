"""Endpoints that a worker reaches: each with its driver, opened as the fleet file says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

from fleetcron.domain import fleet
from fleetcron.drivers.registry import open_driver
from fleetcron.worker.endpoint import Endpoint


def open_endpoints(
    endpoints: Iterable[fleet.Endpoint], state_dir: Path, clock: Callable[[], datetime]
) -> dict[str, Endpoint]:
    """The endpoints by name; what their drivers have to remember is kept in ``state_dir``.

    Raises:
        BadSettings: a driver is not known, or its settings cannot be meant.
    """
    return {
        endpoint.name: Endpoint(endpoint, open_driver(endpoint, state_dir=state_dir, clock=clock))
        for endpoint in endpoints
    }
