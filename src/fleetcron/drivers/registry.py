"""Which driver an endpoint means, and whether its settings can be meant."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import msgspec

from fleetcron.domain.fleet import Endpoint
from fleetcron.drivers.command import CommandConfig, CommandDriver
from fleetcron.drivers.contract import Driver
from fleetcron.drivers.simulated import SimulatedConfig, SimulatedDriver
from fleetcron.errors import BadSettings

DRIVER_NAMES = ("command", "simulated")

_Config = TypeVar("_Config", bound=msgspec.Struct)


def open_driver(endpoint: Endpoint, *, state_dir: Path, clock: Callable[[], datetime]) -> Driver:
    """Open the driver that ``endpoint`` names, with its settings.

    What a driver has to remember it keeps under ``state_dir``, in files that carry the endpoint's name.
    ``clock`` gives the present instant, aware.

    Raises:
        BadSettings: there is no such driver, or its settings hold a key or a value that it does not know;
            or its memory cannot be opened.
    """
    if endpoint.driver == "simulated":
        return _open_simulated(endpoint, state_dir, clock)
    if endpoint.driver == "command":
        return CommandDriver(_config(endpoint, CommandConfig), operations_max=endpoint.concurrency_max)
    known = ", ".join(DRIVER_NAMES)
    raise BadSettings(_where(endpoint), f"there is no driver {endpoint.driver!r}; the known ones are {known}")


def _open_simulated(endpoint: Endpoint, state_dir: Path, clock: Callable[[], datetime]) -> Driver:
    config = _config(endpoint, SimulatedConfig)
    if config.volatile:
        return SimulatedDriver(config, journal=None, clock=clock)
    journal = state_dir / f"simulated-{quote(endpoint.name, safe='')}.jsonl"
    try:
        return SimulatedDriver(config, journal=journal, clock=clock)
    except OSError as error:
        raise BadSettings(_where(endpoint), f"{journal} cannot be opened: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise BadSettings(_where(endpoint), f"{journal} is not the memory of a simulated fleet: {error}") from error


def _config(endpoint: Endpoint, kind: type[_Config]) -> _Config:
    try:
        return msgspec.convert(endpoint.settings, kind)
    except msgspec.ValidationError as error:
        raise BadSettings(_where(endpoint), f"settings: {error}") from error


def _where(endpoint: Endpoint) -> str:
    return f"endpoint {endpoint.name}"
