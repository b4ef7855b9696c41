"""What people do while tasks fire: they make, edit, switch, delete and cancel them, and operate servers at once."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, time
from typing import Protocol

from fleetcron.control.fleet import Fleet
from fleetcron.control.tasks import Tasks
from fleetcron.domain.access import Caller
from fleetcron.domain.schedule import Cycle, Rule
from fleetcron.domain.task import Change, Draft, LateLimits, Target, TargetKind, Task, TaskType
from fleetcron.errors import Unavailable
from fleetcron.store import executions, tasks
from fleetcron.store.database import Database
from simulation.journal import Cancel, Story, Version
from simulation.virtual import VirtualLoop

PROJECT = "p1"
ADA = Caller(user_id="u1", user_name="ada", account_id="default", administrator=True, project_id=PROJECT)
DEEDS_PER_WAVE_MAX = 4


class Ground(Protocol):
    """What people need of the world."""

    loop: VirtualLoop
    story: Story
    engine_clock_max: datetime

    def say(self, who: object, what: str) -> None:
        """Add a line to the trace."""
        ...

    def engine_clock(self) -> datetime:
        """What the engines' clock says."""
        ...


class People:
    """Everybody who asks for something."""

    def __init__(
        self,
        ground: Ground,
        rng: random.Random,
        database: Database,
        *,
        late_limits: LateLimits,
        new_id: Callable[[], str],
        server_ids: list[str],
        groups: list[str],
    ) -> None:
        self._ground = ground
        self._rng = rng
        self._database = database
        self._tasks = Tasks(database, new_id=new_id, wake=lambda: None)
        self._fleet = Fleet(database, late_limits=late_limits, new_id=new_id, wake=lambda: None)
        self._server_ids = server_ids
        self._groups = groups
        self._open: dict[str, Version] = {}

    def create(self) -> None:
        """Make a task that fires once a day."""
        rng = self._rng
        cycle = rng.choice((Cycle.DAILY, Cycle.DAILY, Cycle.DAILY, Cycle.WEEKLY, Cycle.ONCE))
        rule = Rule(
            cycle=cycle,
            zone="UTC",
            at=self._hour(),
            interval_days=1,
            weekdays=(1, 2, 3, 4),
            on_date=self._ground.engine_clock().date(),
        )
        task_type = rng.choice((*TaskType, TaskType.RESTART_SERVER, TaskType.RESTART_SERVER))
        draft = Draft(
            name="a task", task_type=task_type, rule=rule, targets=self._targets(), enforcement=rng.random() < 0.4
        )
        if rule.on_date is not None and datetime.combine(rule.on_date, self._hour_of(rule)) <= self._naive_now():
            return
        task = self._tasks.create(ADA, PROJECT, draft, self._ground.engine_clock()).task
        self._ground.say("people", f"make {task.task_id}: {task.task_type} at {rule.at} {cycle}")
        self._begin_version(task, self._ground.engine_clock())

    def do_something(self) -> None:
        """One deed; one that the database does not answer has not been done."""
        rng = self._rng
        deed = rng.choice(
            (self._edit, self._edit, self._switch, self._delete, self._cancel, self._cancel, self._act, self._act)
        )
        try:
            deed()
        except Unavailable:
            self._ground.say("people", "are not answered")

    def _edit(self) -> None:
        rng = self._rng
        before = self._any_task()
        if before is None:
            return
        change = rng.choice(
            (
                Change(rule={"at": self._hour()}),
                Change(rule={"at": self._soon()}),
                Change(task={"targets": self._targets()}),
                Change(task={"enforcement": rng.random() < 0.5}),
            )
        )
        self._update(before, change)

    def _switch(self) -> None:
        before = self._any_task()
        if before is not None:
            self._update(before, Change(task={"enabled": not before.enabled}))

    def _update(self, before: Task, change: Change) -> None:
        now = self._ground.engine_clock()
        after = self._tasks.update(ADA, PROJECT, before.task_id, change, now).task
        self._ground.say(
            "people", f"change {after.task_id}: {dict(change.task) | dict(change.rule)}; next {after.next_fire_at}"
        )
        if after.rule != before.rule or after.enabled != before.enabled:
            self._end_version(before, now, dropped=not after.enabled)
            if after.enabled:
                self._begin_version(after, now)

    def _delete(self) -> None:
        before = self._any_task()
        if before is None or self._rng.random() < 0.5:
            return
        now = self._ground.engine_clock()
        self._tasks.delete(ADA, PROJECT, before.task_id, now)
        self._ground.say("people", f"delete {before.task_id}")
        self._end_version(before, now, dropped=True)

    def _act(self) -> None:
        rng = self._rng
        servers = rng.sample(self._server_ids, rng.randint(1, 2))
        now = self._ground.engine_clock()
        task_type = rng.choice(list(TaskType))
        key = self._fleet.act(ADA, PROJECT, task_type, servers, enforcement=rng.random() < 0.4, now=now)
        self._ground.say("people", f"operate {servers} at once: {task_type}, {key}")

    def _cancel(self) -> None:
        with self._database.snapshot() as tx:
            rows = tx.execute(
                "SELECT execution_id, task_id FROM executions WHERE ended_at IS NULL AND cancelled_at IS NULL"
                " ORDER BY execution_id"
            ).fetchall()
        if not rows:
            return
        execution_id, _ = self._rng.choice(rows)
        with self._database.transaction() as tx:
            executions.cancel(tx, PROJECT, execution_id, self._ground.engine_clock())
            unbegun = tx.execute(
                "SELECT execution_id, ordinal FROM subtasks WHERE execution_id = ? AND began_at IS NULL"
                " ORDER BY ordinal",
                (execution_id,),
            ).fetchall()
        self._ground.say("people", f"cancel {execution_id}, unbegun {unbegun}")
        self._ground.story.cancels.append(
            Cancel(at=self._ground.loop.time(), execution_id=execution_id, unbegun=unbegun)
        )

    def _any_task(self) -> Task | None:
        with self._database.snapshot() as tx:
            _, found = tasks.page(tx, PROJECT, name=None, task_type=None, offset=0, limit=100)
        return self._rng.choice(sorted(found, key=lambda task: task.task_id)) if found else None

    def _begin_version(self, task: Task, now: datetime) -> None:
        version = Version(task_id=task.task_id, rule=task.rule, task=task, since=now)
        self._open[task.task_id] = version
        self._ground.story.versions.append(version)

    def _end_version(self, before: Task, now: datetime, *, dropped: bool) -> None:
        version = self._open.pop(before.task_id, None)
        if version is None:
            return
        version.until, version.until_max, version.dropped = now, self._ground.engine_clock_max, dropped
        version.next_fire_at = before.next_fire_at

    def _targets(self) -> tuple[Target, ...]:
        rng = self._rng
        servers = [
            Target(kind=TargetKind.SERVER, target_id=key) for key in rng.sample(self._server_ids, rng.randint(1, 2))
        ]
        if rng.random() < 0.4:
            servers.append(Target(kind=TargetKind.SERVER_GROUP, target_id=rng.choice(self._groups)))
        if rng.random() < 0.1:
            servers.append(Target(kind=TargetKind.SERVER, target_id="nobody"))
        return tuple(servers)

    def _hour(self) -> time:
        second = self._rng.randint(0, 30)
        return time(12, 0, second)

    def _soon(self) -> time:
        """In a moment, or a moment ago."""
        now = self._ground.engine_clock()
        seconds = now.hour * 3600 + now.minute * 60 + now.second + self._rng.randint(-20, 20)
        seconds %= 86_400
        return time(seconds // 3600, seconds // 60 % 60, seconds % 60)

    def _naive_now(self) -> datetime:
        return self._ground.engine_clock().replace(tzinfo=None)

    @staticmethod
    def _hour_of(rule: Rule) -> time:
        return rule.at or time(0)
