import pytest

from fleetcron.domain.task import TaskType
from fleetcron.worker.limits import AttemptConfig


@pytest.mark.parametrize("task_type", TaskType)
def test_every_operation_has_a_limit(task_type: TaskType) -> None:
    assert AttemptConfig().limit(task_type).total_seconds() > AttemptConfig().notice


def test_a_notice_must_leave_time_to_act() -> None:
    with pytest.raises(ValueError, match="notice must be shorter"):
        AttemptConfig(notice=900, restart=900)
