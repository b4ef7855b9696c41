"""How long an attempt may take."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import msgspec

from fleetcron.domain.task import TaskType

WEEK_SECONDS = 7 * 24 * 3600
Seconds = Annotated[float, msgspec.Meta(gt=0, le=WEEK_SECONDS)]
Pause = Annotated[float, msgspec.Meta(ge=0, le=WEEK_SECONDS)]


class AttemptConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long an attempt may take, in seconds.

    ``start`` to ``reinstall``: from began to the deadline. ``notice``: between telling a server's users and a forced
    operation. ``doubt``: how long a server is watched for an effect when it is not known whether it was told.
    """

    start: Seconds = 600.0
    stop: Seconds = 600.0
    restart: Seconds = 900.0
    reinstall: Seconds = 3600.0
    notice: Pause = 60.0
    doubt: Pause = 15.0

    def __post_init__(self) -> None:
        """Refuse a notice that would leave no time to act after it."""
        if self.notice >= min(self.stop, self.restart, self.reinstall):
            raise ValueError("notice must be shorter than stop, restart and reinstall")

    def limit(self, task_type: TaskType) -> timedelta:
        """From began to the deadline."""
        seconds = {
            TaskType.START_SERVER: self.start,
            TaskType.STOP_SERVER: self.stop,
            TaskType.RESTART_SERVER: self.restart,
            TaskType.REINSTALL_OS: self.reinstall,
        }
        return timedelta(seconds=seconds[task_type])
