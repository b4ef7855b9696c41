"""Which driver an endpoint means, and whether its settings can be meant.

Drivers that other people wrote are found by name among the entry points of ENTRY_POINTS; only the one that an
endpoint names is imported.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Final, Protocol, TypeVar
from urllib.parse import quote

import msgspec

from fleetcron.domain.fleet import Endpoint
from fleetcron.drivers.command import CommandConfig, CommandDriver
from fleetcron.drivers.contract import Driver
from fleetcron.drivers.simulated import SimulatedConfig, SimulatedDriver
from fleetcron.errors import BadSettings

DRIVER_NAMES = ("command", "simulated")
ENTRY_POINTS: Final = "fleetcron.drivers"

_Config = TypeVar("_Config", bound=msgspec.Struct)


class Opener(Protocol):
    """What an entry point of ENTRY_POINTS names: it opens the driver for one endpoint, as ``open_driver`` does."""

    def __call__(self, endpoint: Endpoint, *, state_dir: Path, clock: Callable[[], datetime]) -> Driver:
        """Open the driver.

        Raises:
            ValueError: the endpoint's settings cannot be meant; the message says which and why.
        """
        ...


def open_driver(endpoint: Endpoint, *, state_dir: Path, clock: Callable[[], datetime]) -> Driver:
    """Open the driver that ``endpoint`` names, with its settings.

    What a driver has to remember it keeps under ``state_dir``, in files that carry the endpoint's name.
    ``clock`` gives the present instant, aware.

    Raises:
        BadSettings: there is no such driver, or it cannot be imported; its settings hold a key or a value that it does
            not know; or its memory cannot be opened.
    """
    if endpoint.driver == "simulated":
        return _open_simulated(endpoint, state_dir, clock)
    if endpoint.driver == "command":
        return CommandDriver(_config(endpoint, CommandConfig), operations_max=endpoint.concurrency_max)
    return _open_foreign(endpoint, state_dir, clock)


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


def _open_foreign(endpoint: Endpoint, state_dir: Path, clock: Callable[[], datetime]) -> Driver:
    offered = entry_points(group=ENTRY_POINTS)
    if endpoint.driver not in offered.names:
        known = ", ".join([*DRIVER_NAMES, *sorted(offered.names)])
        raise BadSettings(_where(endpoint), f"there is no driver {endpoint.driver!r}; the known ones are {known}")
    opener = _loaded(endpoint, offered[endpoint.driver])
    try:
        return opener(endpoint, state_dir=state_dir, clock=clock)
    # What msgspec says of a wrong value is a ValueError, too.
    except ValueError as error:
        raise BadSettings(_where(endpoint), f"settings: {error}") from error


def _loaded(endpoint: Endpoint, offered: EntryPoint) -> Opener:
    try:
        opener: Opener = offered.load()
    except (ImportError, AttributeError) as error:
        raise BadSettings(_where(endpoint), f"driver {endpoint.driver!r} cannot be imported: {error}") from error
    return opener


def _config(endpoint: Endpoint, kind: type[_Config]) -> _Config:
    try:
        return msgspec.convert(endpoint.settings, kind)
    except msgspec.ValidationError as error:
        raise BadSettings(_where(endpoint), f"settings: {error}") from error


def _where(endpoint: Endpoint) -> str:
    return f"endpoint {endpoint.name}"
