"""What an observation shows of an operation."""

from __future__ import annotations

from collections.abc import Mapping

from fleetcron.domain.execution import Evidence
from fleetcron.domain.fleet import Power
from fleetcron.domain.task import TaskType
from fleetcron.drivers.contract import Observation

_WANTED: Mapping[TaskType, Power] = {TaskType.START_SERVER: Power.ON, TaskType.STOP_SERVER: Power.OFF}


def proof(task_type: TaskType, boot_marker: str | None, seen: Observation) -> Evidence | None:
    """What shows that the operation has happened, None if nothing does."""
    if task_type in _WANTED:
        return Evidence.POWER_SEEN if is_already_there(task_type, seen) else None
    if task_type is TaskType.REINSTALL_OS or seen.power is not Power.ON or seen.busy:
        # A server that came up again may have been stopped and started by hand: that proves no reinstall.
        return None
    if None in (boot_marker, seen.boot_marker) or boot_marker == seen.boot_marker:
        return None
    return Evidence.BOOT_MARKER_CHANGED


def is_idle(seen: Observation) -> bool:
    """Whether nothing is being done to the server."""
    return not seen.busy and seen.power is not Power.TRANSITION


def is_already_there(task_type: TaskType, seen: Observation) -> bool:
    """Whether a start or stop has nothing left to do."""
    return not seen.busy and _WANTED.get(task_type) is seen.power
