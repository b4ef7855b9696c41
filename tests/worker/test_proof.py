import pytest

from fleetcron.domain.execution import Evidence
from fleetcron.domain.fleet import Power
from fleetcron.domain.task import TaskType
from fleetcron.drivers.contract import Observation
from fleetcron.worker.proof import is_already_there, is_idle, proof

ON, OFF = Observation(power=Power.ON, boot_marker="b1"), Observation(power=Power.OFF, boot_marker="b1")
CAME_UP = Observation(power=Power.ON, boot_marker="b2")
IN_BETWEEN = Observation(power=Power.TRANSITION, boot_marker="b1")


@pytest.mark.parametrize(
    ("task_type", "seen", "shown"),
    [
        (TaskType.START_SERVER, ON, Evidence.POWER_SEEN),
        (TaskType.START_SERVER, OFF, None),
        (TaskType.STOP_SERVER, OFF, Evidence.POWER_SEEN),
        (TaskType.STOP_SERVER, IN_BETWEEN, None),
        (TaskType.RESTART_SERVER, ON, None),
        (TaskType.RESTART_SERVER, CAME_UP, Evidence.BOOT_MARKER_CHANGED),
        (TaskType.RESTART_SERVER, Observation(power=Power.ON), None),
        (TaskType.REINSTALL_OS, CAME_UP, None),
    ],
)
def test_only_what_cannot_be_otherwise_is_proof(task_type: TaskType, seen: Observation, shown: Evidence | None) -> None:
    assert proof(task_type, "b1", seen) == shown


def test_without_a_marker_from_before_no_restart_is_proven() -> None:
    assert proof(TaskType.RESTART_SERVER, None, CAME_UP) is None


def test_a_server_between_two_states_is_not_idle() -> None:
    assert is_idle(ON)
    assert not is_idle(IN_BETWEEN)
    assert not is_idle(Observation(power=Power.ON, busy=True))


def test_only_start_and_stop_can_have_nothing_left_to_do() -> None:
    assert is_already_there(TaskType.START_SERVER, ON)
    assert is_already_there(TaskType.STOP_SERVER, OFF)
    assert not is_already_there(TaskType.RESTART_SERVER, ON)
    assert not is_already_there(TaskType.START_SERVER, Observation(power=Power.ON, busy=True))
