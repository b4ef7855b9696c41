"""Small nouns for tests: complete, plausible, and different only in what a test says."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from threading import Barrier
from typing import Any, TypeVar

import msgspec

from fleetcron.domain.access import Account, Project
from fleetcron.domain.execution import Execution, Status, Subtask
from fleetcron.domain.fleet import Server, ServerGroup
from fleetcron.domain.schedule import Cycle, Rule
from fleetcron.domain.task import Target, TargetKind, Task, TaskType
from fleetcron.store import access
from fleetcron.store.database import Transaction

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PROJECT = "p1"
EVENTUALLY_SECONDS_MAX = 20.0

_T = TypeVar("_T")


class Clock:
    """A clock that stands still until the test moves it."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> datetime:
        """Let time pass (or, with a minus, step the clock back), and say what time it is."""
        self.now += timedelta(seconds=seconds)
        return self.now


def after(seconds: float) -> datetime:
    """So many seconds after NOW."""
    return NOW + timedelta(seconds=seconds)


def eventually(what: Callable[[], _T], *, seconds: float = EVENTUALLY_SECONDS_MAX) -> _T:
    """Ask until the answer is a true one, and return it; fail when it does not come in time."""
    give_up_at = time.monotonic() + seconds
    while not (said := what()):
        assert time.monotonic() < give_up_at, f"still {said!r} after {seconds} s"
        time.sleep(0.01)
    return said


def in_threads(*deeds: Callable[[], object]) -> None:
    """Do these at the same time, and raise what one of them raised."""
    gate = Barrier(len(deeds))

    def start(deed: Callable[[], object]) -> None:
        gate.wait()
        deed()

    with ThreadPoolExecutor(len(deeds)) as threads:
        for done in [threads.submit(start, deed) for deed in deeds]:
            done.result()


def a_rule(cycle: Cycle = Cycle.DAILY, **fields: Any) -> Rule:  # noqa: ANN401  (the fields of Rule)
    """Every day at 12:00 in UTC, the hour of NOW, unless ``fields`` say otherwise."""
    complete: dict[str, Any] = {
        "interval_days": 1,
        "weekdays": (1, 7),
        "months": (3,),
        "month_days": (1, "L"),
        "on_date": date(2026, 3, 1),
        "at": clock_time(12),
        "zone": "UTC",
    }
    return Rule(cycle=cycle, **(complete | fields))


def a_target(target_id: str = "s1", kind: TargetKind = TargetKind.SERVER) -> Target:
    return Target(kind=kind, target_id=target_id)


def a_task(task_id: str = "t1", **fields: object) -> Task:
    """An enabled task that restarts s1 daily and is due at NOW, unless ``fields`` say otherwise."""
    task = Task(
        task_id=task_id,
        project_id=PROJECT,
        name=f"name-of-{task_id}",
        task_type=TaskType.RESTART_SERVER,
        rule=a_rule(),
        targets=(a_target(),),
        enforcement=None,
        description=None,
        enabled=True,
        anchor=date(2026, 3, 1),
        next_fire_at=NOW,
        first_ordinal=1,
        last_ordinal=0,
        created_at=NOW - timedelta(days=1),
        updated_at=NOW - timedelta(days=1),
        deleted_at=None,
    )
    return msgspec.structs.replace(task, **fields)


def an_execution(execution_id: str = "e1", **fields: object) -> Execution:
    """The first execution of t1, waiting with one subtask, unless ``fields`` say otherwise."""
    execution = Execution(
        execution_id=execution_id,
        task_id="t1",
        project_id=PROJECT,
        ordinal=1,
        fire_at=NOW,
        start_until=after(300),
        task_type=TaskType.RESTART_SERVER,
        cycle=Cycle.DAILY,
        zone="UTC",
        enforcement=False,
        status=Status.WAITING,
        total=1,
        succeeded=0,
        failed=0,
        running=0,
        began_at=None,
        ended_at=None,
        created_at=NOW,
    )
    return msgspec.structs.replace(execution, **fields)


def a_subtask(ordinal: int = 1, execution_id: str = "e1", **fields: object) -> Subtask:
    """The share of server ``s<ordinal>``, waiting, unless ``fields`` say otherwise."""
    subtask = Subtask(
        execution_id=execution_id,
        ordinal=ordinal,
        server_id=f"s{ordinal}",
        server_name=f"Server {ordinal}",
        endpoint="lab",
        handle=f"h{ordinal}",
        status=Status.WAITING,
    )
    return msgspec.structs.replace(subtask, **fields)


def a_server(number: int = 1, **fields: object) -> Server:
    """Server ``s<number>``, reached as ``h<number>`` at the endpoint lab."""
    server = Server(
        server_id=f"s{number}",
        project_id=PROJECT,
        name=f"Server {number}",
        group_id=None,
        endpoint="lab",
        handle=f"h{number}",
        created_at=NOW,
        updated_at=NOW,
    )
    return msgspec.structs.replace(server, **fields)


def a_group(group_id: str = "g1", **fields: object) -> ServerGroup:
    group = ServerGroup(group_id=group_id, project_id=PROJECT, name=f"Group {group_id}", created_at=NOW, updated_at=NOW)
    return msgspec.structs.replace(group, **fields)


def insert_projects(tx: Transaction, project_ids: Sequence[str] = (PROJECT, "p2")) -> None:
    """The account and the projects that every other row leans on."""
    access.insert_account(tx, Account(account_id="default", name="home", created_at=NOW))
    for project_id in project_ids:
        access.insert_project(
            tx, Project(project_id=project_id, account_id="default", name=f"name-of-{project_id}", created_at=NOW)
        )
