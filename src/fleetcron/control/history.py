"""What people ask of the past: executions of a task, subtasks of an execution."""

from __future__ import annotations

from fleetcron.control.authorisation import EVERY, TASK, authorise
from fleetcron.domain.access import Caller, Permission
from fleetcron.domain.execution import Execution, Subtask
from fleetcron.errors import Forbidden, NotFound
from fleetcron.store import executions, subtasks
from fleetcron.store.database import Database
from fleetcron.store.executions import Record


class History:
    """Pages of history; each is one index range, and its count is exact without counting."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def executions(
        self, caller: Caller, project_id: str, task_id: str, *, offset: int, limit: int
    ) -> tuple[int, list[Record | Execution]]:
        """How many executions the task has, and one stretch of them, newest first.

        A finished execution comes as the record that was rendered when it ended.

        Raises:
            Forbidden: the caller may not.
            NotFound: the project has no such task.
        """
        with self._database.snapshot() as tx:
            authorise(tx, caller, Permission.LIST_EXECUTIONS, project_id, (TASK, task_id))
            bounds = executions.bounds(tx, project_id, task_id)
            if bounds is None:
                raise NotFound("task", task_id)
            first, last = bounds
            newest = last - offset
            return last - first + 1, executions.stretch(tx, task_id, newest, max(first, newest - limit + 1))

    def subtasks(
        self, caller: Caller, project_id: str, execution_id: str, *, offset: int, limit: int
    ) -> tuple[Execution, list[Subtask]]:
        """The execution (its ``total`` is the count) and one stretch of its subtasks in their order.

        Raises:
            Forbidden: the caller may not.
            NotFound: the project has no such execution.
        """
        with self._database.snapshot() as tx:
            execution = executions.find(tx, project_id, execution_id)
            # Permissions are for its task. Who may not see it is told the same as if there were no such execution.
            try:
                task_id = EVERY if execution is None else execution.task_id
                authorise(tx, caller, Permission.SHOW_EXECUTION, project_id, (TASK, task_id))
            except Forbidden:
                authorise(tx, caller, Permission.SHOW_EXECUTION, project_id, (TASK, EVERY))
                raise
            if execution is None:
                raise NotFound("execution", execution_id)
            return execution, subtasks.page(tx, execution_id, offset=offset, limit=limit)
