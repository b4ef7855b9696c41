"""What people ask of tasks, against a real database."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import count

import pytest

from builders import NOW, a_rule, a_server, a_target, after, an_execution, eventually
from databases import somebody_waits
from fleetcron.control.tasks import Tasks
from fleetcron.domain.access import Caller
from fleetcron.domain.execution import Status
from fleetcron.domain.schedule import Cycle
from fleetcron.domain.task import Change, Draft, TargetKind, Task, TaskType
from fleetcron.errors import Forbidden, Invalid, NotFound
from fleetcron.store import executions, fleet
from fleetcron.store import tasks as store
from fleetcron.store.database import Database
from fleetcron.store.postgresql import PostgresqlDatabase

ADA = Caller(user_id="u1", user_name="ada", account_id="default", administrator=True, project_id=None)
MALLORY = Caller(user_id="u2", user_name="mallory", account_id="elsewhere", administrator=True, project_id=None)


class Waking:
    """Counts how often the engine was woken."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


@pytest.fixture
def wake() -> Waking:
    return Waking()


@pytest.fixture
def tasks(database: Database, wake: Waking) -> Tasks:
    numbers = count(1)
    return Tasks(database, new_id=lambda: f"t{next(numbers)}", wake=wake)


def a_draft(name: str = "nightly", **fields: object) -> Draft:
    complete: dict[str, object] = {
        "name": name,
        "task_type": TaskType.RESTART_SERVER,
        "rule": a_rule(),
        "targets": (a_target(),),
    }
    return Draft(**(complete | fields))  # type: ignore[arg-type]


def create(tasks: Tasks, *names: str, project_id: str = "p1") -> list[Task]:
    return [tasks.create(ADA, project_id, a_draft(name), NOW).task for name in names]


def found(tasks: Tasks, **asked: object) -> tuple[int, list[str]]:
    """The count, and the names on the page."""
    complete: dict[str, object] = {"name": None, "task_type": None, "offset": 0, "limit": 10}
    number, page = tasks.page(ADA, "p1", **(complete | asked))  # type: ignore[arg-type]
    return number, [one.task.name for one in page]


def fire(database: Database, task: Task, ordinal: int, status: Status) -> None:
    fired = an_execution(
        f"{task.task_id}-{ordinal}", task_id=task.task_id, ordinal=ordinal, fire_at=after(ordinal), status=status
    )
    with database.transaction() as tx:
        executions.insert(tx, [fired])
        store.advance(tx, [(task, ordinal, task.next_fire_at)])


def test_a_new_task_is_enabled_waits_and_wakes_the_engine(tasks: Tasks, wake: Waking) -> None:
    made = tasks.create(ADA, "p1", a_draft(), NOW)
    assert made.task.enabled
    assert made.task.next_fire_at == NOW + timedelta(days=1)
    assert made.latest is Status.WAITING
    assert wake.times == 1


def test_what_is_created_is_read_back_the_same(tasks: Tasks) -> None:
    made = tasks.create(ADA, "p1", a_draft(description="words", enforcement=True), NOW)
    assert tasks.show(ADA, "p1", made.task.task_id)[0] == made.task


def test_a_task_that_would_never_fire_is_not_written_down(tasks: Tasks, wake: Waking) -> None:
    with pytest.raises(Invalid) as caught:
        tasks.create(ADA, "p1", a_draft(rule=a_rule(Cycle.ONCE)), NOW)
    assert caught.value.field == "on_date"
    assert found(tasks) == (0, [])
    assert wake.times == 0


def test_two_tasks_may_have_one_name(tasks: Tasks) -> None:
    create(tasks, "twin", "twin")
    assert found(tasks) == (2, ["twin", "twin"])


def test_the_newest_task_comes_first_and_pages_make_up_the_whole(tasks: Tasks) -> None:
    names = [f"task-{n:02}" for n in range(25)]
    create(tasks, *names)
    pages = [found(tasks, offset=offset, limit=7) for offset in range(0, 35, 7)]
    assert {number for number, _ in pages} == {25}
    assert sorted(name for _, page in pages for name in page) == names
    assert pages[-1][1] == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [("night", {"night-a", "NIGHT_b", "midnight"}), ("t_b", {"NIGHT_b"}), ("%", set()), ("夜", {"夜间"}), ("", None)],
)
def test_a_name_matches_anywhere_and_literally(tasks: Tasks, name: str, expected: set[str] | None) -> None:
    everything = {"night-a", "NIGHT_b", "midnight", "day-b", "夜间"}
    create(tasks, *everything)
    number, names = found(tasks, name=name)
    assert set(names) == (everything if expected is None else expected)
    assert number == len(names)


def test_tasks_are_found_by_type(tasks: Tasks) -> None:
    create(tasks, "restarts")
    tasks.create(ADA, "p1", a_draft("stops", task_type=TaskType.STOP_SERVER), NOW)
    assert found(tasks, task_type="STOP_SERVER") == (1, ["stops"])
    assert found(tasks, task_type="UPGRADE_ACCESS_AGENT") == (0, [])


def test_a_task_stands_where_its_newest_execution_does(tasks: Tasks, database: Database) -> None:
    (task,) = create(tasks, "nightly")
    fire(database, task, 1, Status.SUCCESS)
    fire(database, task, 2, Status.RUNNING)
    _, (listed,) = tasks.page(ADA, "p1", name=None, task_type=None, offset=0, limit=10)
    assert listed.latest is Status.RUNNING
    assert tasks.update(ADA, "p1", task.task_id, Change(), after(60)).latest is Status.RUNNING


def test_targets_are_named_where_they_exist_in_the_project(tasks: Tasks, database: Database) -> None:
    with database.transaction() as tx:
        fleet.replace_inventory(tx, "p1", (a_server(1),), ())
        fleet.replace_inventory(tx, "p2", (a_server(2, project_id="p2"),), ())
    targets = (a_target("s1"), a_target("s2"), a_target("s1", TargetKind.SERVER_GROUP))
    task = tasks.create(ADA, "p1", a_draft(targets=targets), NOW).task
    assert tasks.show(ADA, "p1", task.task_id)[1] == {a_target("s1"): "Server 1"}


def test_an_update_changes_what_it_names_and_wakes_the_engine(tasks: Tasks, wake: Waking) -> None:
    (task,) = create(tasks, "before")
    changed = tasks.update(ADA, "p1", task.task_id, Change(task={"name": "after", "enabled": False}), after(60)).task
    assert (changed.name, changed.enabled, changed.next_fire_at) == ("after", False, None)
    assert (changed.rule, changed.updated_at, changed.created_at) == (task.rule, after(60), NOW)
    assert tasks.show(ADA, "p1", task.task_id)[0] == changed
    assert wake.times == 2


def test_an_update_that_leaves_no_rule_changes_nothing(tasks: Tasks) -> None:
    (task,) = create(tasks, "nightly")
    with pytest.raises(Invalid):
        tasks.update(ADA, "p1", task.task_id, Change(task={"name": "after"}, rule={"at": None}), after(60))
    assert tasks.show(ADA, "p1", task.task_id)[0] == task


def test_a_deleted_task_is_nowhere_and_never_fires(tasks: Tasks, database: Database) -> None:
    gone, stays = create(tasks, "gone", "stays")
    tasks.delete(ADA, "p1", gone.task_id, after(60))
    assert found(tasks) == (1, ["stays"])
    for ask in (
        lambda: tasks.show(ADA, "p1", gone.task_id),
        lambda: tasks.update(ADA, "p1", gone.task_id, Change(), NOW),
    ):
        with pytest.raises(NotFound, match=gone.task_id):
            ask()
    with database.snapshot() as tx:
        assert store.due_ids(tx, after(10**6), 10) == [stays.task_id]


def test_deleting_what_is_not_there_is_as_good_as_done(tasks: Tasks) -> None:
    (task,) = create(tasks, "nightly")
    for _ in range(2):
        tasks.delete(ADA, "p1", task.task_id, NOW)
    tasks.delete_many(ADA, "p1", ["never", task.task_id, ""], NOW)
    assert found(tasks) == (0, [])


def test_many_are_deleted_at_once(tasks: Tasks) -> None:
    first, second, _ = create(tasks, "a", "b", "c")
    tasks.delete_many(ADA, "p1", [first.task_id, "never", second.task_id], NOW)
    assert found(tasks) == (1, ["c"])


def test_a_task_of_another_project_is_not_there(tasks: Tasks) -> None:
    (task,) = create(tasks, "theirs", project_id="p2")
    for ask in (
        lambda: tasks.show(ADA, "p1", task.task_id),
        lambda: tasks.update(ADA, "p1", task.task_id, Change(task={"name": "mine"}), NOW),
    ):
        with pytest.raises(NotFound):
            ask()
    tasks.delete(ADA, "p1", task.task_id, NOW)
    tasks.delete_many(ADA, "p1", [task.task_id], NOW)
    assert tasks.show(ADA, "p2", task.task_id)[0] == task


def test_a_change_never_takes_back_what_the_scheduler_has_written(postgresql_database: PostgresqlDatabase) -> None:
    """Or an ordinal would be given twice, and a fire that was recorded would be due again."""
    room = Tasks(postgresql_database, new_id=lambda: "t1", wake=lambda: None)
    task = room.create(ADA, "p1", a_draft(), NOW).task
    with ThreadPoolExecutor(1) as other:
        with postgresql_database.transaction() as tx:
            store.advance(tx, [(task, 7, after(99))])
            change = Change(task={"name": "renamed"})
            changing = other.submit(room.update, ADA, "p1", "t1", change, NOW)
            eventually(lambda: changing.done() or somebody_waits(postgresql_database))
        changed = changing.result().task
    assert (changed.name, changed.last_ordinal) == ("renamed", 7)
    with postgresql_database.snapshot() as tx:
        assert store.read(tx, ["t1"]) == [changed]


def test_many_may_be_deleted_by_many_at_once(tasks: Tasks, database: Database) -> None:
    ids = [tasks.create(ADA, "p1", a_draft(), NOW).task.task_id for _ in range(20)]
    with ThreadPoolExecutor(4) as others:
        orders = (ids, ids[::-1]) * 4
        done = [others.submit(tasks.delete_many, ADA, "p1", order, NOW) for order in orders]
    assert [one.result() for one in done] == [None] * len(orders)
    assert found(tasks) == (0, [])


def test_a_preview_is_the_next_five_and_writes_nothing(tasks: Tasks, wake: Waking) -> None:
    fires = tasks.preview(ADA, "p1", a_rule(interval_days=2), NOW)
    assert fires == [NOW + timedelta(days=1 + 2 * n) for n in range(5)]
    assert found(tasks) == (0, [])
    assert wake.times == 0


def test_a_preview_of_one_date_has_one_fire(tasks: Tasks) -> None:
    once = a_rule(Cycle.ONCE, on_date=(NOW + timedelta(days=1)).date())
    assert tasks.preview(ADA, "p1", once, NOW) == [NOW + timedelta(days=1)]
    assert tasks.preview(ADA, "p1", once, NOW + timedelta(days=1)) == []


ASKED: dict[str, Callable[[Tasks, str], object]] = {
    "page": lambda tasks, _: tasks.page(MALLORY, "p1", name=None, task_type=None, offset=0, limit=10),
    "create": lambda tasks, _: tasks.create(MALLORY, "p1", a_draft("evil"), NOW),
    "show": lambda tasks, task_id: tasks.show(MALLORY, "p1", task_id),
    "update": lambda tasks, task_id: tasks.update(MALLORY, "p1", task_id, Change(task={"name": "evil"}), NOW),
    "delete": lambda tasks, task_id: tasks.delete(MALLORY, "p1", task_id, NOW),
    "delete_many": lambda tasks, task_id: tasks.delete_many(MALLORY, "p1", [task_id], NOW),
    "preview": lambda tasks, _: tasks.preview(MALLORY, "p1", a_rule(), NOW),
}


@pytest.mark.parametrize("deed", ASKED)
def test_a_stranger_may_nothing_and_changes_nothing(tasks: Tasks, deed: str) -> None:
    (task,) = create(tasks, "nightly")
    with pytest.raises(Forbidden):
        ASKED[deed](tasks, task.task_id)
    assert tasks.show(ADA, "p1", task.task_id)[0] == task
    assert found(tasks) == (1, ["nightly"])


def test_a_preview_that_is_refused_says_why_before_it_says_what_is_wrong(tasks: Tasks) -> None:
    with pytest.raises(Forbidden):
        tasks.preview(MALLORY, "p1", a_rule(at=None), NOW)


def test_a_due_fire_is_not_lost_by_an_edit(tasks: Tasks) -> None:
    (task,) = create(tasks, "nightly")
    due: datetime | None = task.next_fire_at
    assert due is not None
    edited = tasks.update(ADA, "p1", task.task_id, Change(rule={"interval_days": 2}), due + timedelta(seconds=1))
    assert edited.task.next_fire_at == due
