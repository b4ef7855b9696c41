"""What people ask of executions: a task's history, the subtasks of one, and that one goes no further."""

from __future__ import annotations

from datetime import datetime

from fleetcron.control.authorisation import EVERY, TASK, authorise
from fleetcron.domain.access import Caller, Permission
from fleetcron.domain.execution import Execution, Subtask
from fleetcron.errors import Conflict, Forbidden, NotFound
from fleetcron.store import executions, subtasks
from fleetcron.store.database import Database, Transaction
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

    def cancel(self, caller: Caller, project_id: str, task_id: str, execution_id: str, now: datetime) -> None:
        """Let no subtask of the execution begin any more; those that have begun run to their end.

        Cancelling again changes nothing. It takes the permission to change the task: the vendor has no action of its
        own for it. A task that was deleted meanwhile keeps nobody from it.

        Raises:
            Forbidden: the caller may not.
            NotFound: the project has no such execution of this task.
            Conflict: the execution has ended by itself.
        """
        with self._database.transaction() as tx:
            authorise(tx, caller, Permission.UPDATE_TASK, project_id, (TASK, task_id))
            _find(tx, project_id, task_id, execution_id)
            if executions.cancel(tx, project_id, execution_id, now):
                return
            # Read again: it may have ended since it was found.
            execution = _find(tx, project_id, task_id, execution_id)
            if execution.cancelled_at is None:
                raise Conflict(f"The execution {execution_id} has already ended; it is {execution.status}.")


def _find(tx: Transaction, project_id: str, task_id: str, execution_id: str) -> Execution:
    execution = executions.find(tx, project_id, execution_id)
    # The permission was for this task: the execution of another one is as good as none.
    if execution is None or execution.task_id != task_id:
        raise NotFound("execution", execution_id)
    return execution
