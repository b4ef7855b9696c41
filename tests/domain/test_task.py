"""What may be decided about a task without a clock: how it is made, changed, and how late it may begin."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import NOW, a_rule, a_target, a_task, after
from fleetcron.domain.schedule import Cycle, Rule
from fleetcron.domain.task import ON_TIME_SECONDS, Change, Draft, LateLimits, Task, TaskType, anchor_of, change, create
from fleetcron.errors import Invalid

DAY = timedelta(days=1)


def draft(rule: Rule) -> Draft:
    return Draft(name="night", task_type=TaskType.STOP_SERVER, rule=rule, targets=(a_target(),))


def created(now: datetime = NOW, **rule: Any) -> Task:  # noqa: ANN401  (the fields of Rule)
    return create(draft(a_rule(**rule)), task_id="t1", project_id="p1", now=now)


def test_a_new_task_is_enabled_and_waits_for_its_first_fire() -> None:
    task = created(at=time(13))
    assert task.enabled
    assert task.next_fire_at == after(3600)
    assert task.anchor == date(2026, 3, 1)
    assert (task.first_ordinal, task.last_ordinal, task.deleted_at) == (1, 0, None)
    assert task.created_at == task.updated_at == NOW


def test_a_fire_of_this_very_instant_is_not_the_first() -> None:
    assert created(at=time(12)).next_fire_at == NOW + DAY


def test_every_third_day_is_counted_from_the_first_fire() -> None:
    task = created(at=time(11), interval_days=3)
    assert task.anchor == date(2026, 3, 2)
    assert task.next_fire_at == datetime(2026, 3, 2, 11, tzinfo=UTC)
    assert task.schedule().next_after(task.next_fire_at) == datetime(2026, 3, 5, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({"cycle": Cycle.ONCE, "at": time(11, 59)}, "on_date"),
        ({"cycle": Cycle.ONCE, "at": time(12)}, "on_date"),
        ({"expires": "2026-03-01T11:59:59Z"}, "expires"),
        ({"expires": "2026-03-01T12:00:00Z"}, "expires"),
        ({"at": time(13), "expires": "2026-03-01T12:30:00Z"}, "expires"),
        ({"cycle": Cycle.ONCE, "on_date": date(2026, 2, 1), "expires": "2026-02-02T00:00:00Z"}, "expires"),
        ({"cycle": Cycle.WEEKLY, "weekdays": ()}, "weekdays"),
        ({"zone": "Mars/Olympus"}, "zone"),
        ({"at": None}, "at"),
    ],
)
def test_what_would_never_fire_or_cannot_be_read_is_refused(rule: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        created(**rule)
    assert refusal.value.field == field


def test_a_fire_at_the_very_expiry_still_counts() -> None:
    assert created(at=time(13), expires="2026-03-01T13:00:00Z").next_fire_at == after(3600)


def test_an_edit_that_is_not_about_time_keeps_the_planned_fire() -> None:
    task = a_task(next_fire_at=after(60))
    changed = change(task, Change(task={"name": "new", "targets": ()}), after(10))
    assert changed == a_task(name="new", targets=(), next_fire_at=after(60), updated_at=after(10))


def test_nothing_asked_changes_nothing_but_the_time_of_change() -> None:
    assert change(a_task(next_fire_at=after(60)), Change(), after(1)) == a_task(
        next_fire_at=after(60), updated_at=after(1)
    )


def test_the_same_rule_said_again_does_not_move_the_count() -> None:
    task = a_task(rule=a_rule(interval_days=3), next_fire_at=NOW + 2 * DAY)
    changed = change(task, Change(rule={"interval_days": 3}), NOW + DAY)
    assert (changed.anchor, changed.next_fire_at) == (task.anchor, task.next_fire_at)


def test_a_changed_rule_is_counted_anew() -> None:
    task = a_task(rule=a_rule(interval_days=3), next_fire_at=NOW + 2 * DAY)
    changed = change(task, Change(rule={"interval_days": 2, "at": time(18)}), after(60))
    assert changed.anchor == date(2026, 3, 1)
    assert changed.next_fire_at == after(6 * 3600)
    assert changed.schedule().next_after(after(6 * 3600)) == after(6 * 3600) + 2 * DAY


def test_disabling_clears_the_next_fire() -> None:
    assert change(a_task(next_fire_at=after(60)), Change(task={"enabled": False}), NOW).next_fire_at is None


def test_disabling_drops_even_a_fire_that_has_come() -> None:
    assert change(a_task(next_fire_at=NOW), Change(task={"enabled": False}), after(1)).next_fire_at is None


def test_a_disabled_task_can_be_changed_and_stays_silent() -> None:
    task = a_task(enabled=False, next_fire_at=None)
    changed = change(task, Change(task={"name": "new"}, rule={"at": time(18)}), NOW)
    assert changed.next_fire_at is None
    assert changed.anchor == date(2026, 3, 1)


def test_enabling_again_waits_for_the_next_fire_and_runs_none_that_passed() -> None:
    task = a_task(enabled=False, next_fire_at=None)
    assert change(task, Change(task={"enabled": True}), NOW + 5 * DAY).next_fire_at == NOW + 6 * DAY


def test_enabling_again_keeps_the_rhythm_of_an_unchanged_rule() -> None:
    task = a_task(rule=a_rule(interval_days=3), enabled=False, next_fire_at=None)
    enabled = change(task, Change(task={"enabled": True}), NOW + 4 * DAY)
    assert enabled.anchor == task.anchor
    assert enabled.next_fire_at == NOW + 6 * DAY


def test_enabling_an_enabled_task_moves_nothing() -> None:
    task = a_task(next_fire_at=after(60))
    assert change(task, Change(task={"enabled": True}), NOW).next_fire_at == after(60)


@pytest.mark.parametrize("asked", [Change(task={"name": "new"}), Change(rule={"at": time(18)})])
def test_an_edit_does_not_drop_a_fire_that_has_come(asked: Change) -> None:
    assert change(a_task(next_fire_at=NOW), asked, after(2)).next_fire_at == NOW


def test_a_rule_changed_into_the_past_or_beyond_its_expiry_has_no_next_fire() -> None:
    task = a_task(next_fire_at=after(60))
    for rule in ({"cycle": Cycle.ONCE, "on_date": date(2026, 2, 1)}, {"expires": "2026-03-01T12:00:30Z"}):
        assert change(task, Change(rule=rule), after(31)).next_fire_at is None


def test_a_rule_that_cannot_be_read_is_refused_even_while_disabled() -> None:
    for task in (a_task(), a_task(enabled=False, next_fire_at=None)):
        with pytest.raises(Invalid) as refusal:
            change(task, Change(rule={"months": (), "cycle": Cycle.MONTHLY}), NOW)
        assert refusal.value.field == "months"


@given(
    days=st.integers(0, 4000),
    seconds=st.integers(0, 86_399),
    interval_days=st.integers(1, 31),
    enabled=st.booleans(),
    renamed=st.booleans(),
)
def test_no_change_ever_plans_a_fire_in_the_past_that_was_not_due(
    *, days: int, seconds: int, interval_days: int, enabled: bool, renamed: bool
) -> None:
    now = NOW + timedelta(days=days, seconds=seconds)
    task = created(at=time(13))
    asked = Change(
        task={"enabled": enabled} | ({"name": "new"} if renamed else {}), rule={"interval_days": interval_days}
    )
    changed = change(task, asked, now)
    if not enabled:
        assert changed.next_fire_at is None
    else:
        assert changed.next_fire_at is not None
        assert changed.next_fire_at > now or changed.next_fire_at == task.next_fire_at
    assert msgspec.structs.replace(changed, next_fire_at=None).task_id == task.task_id


@pytest.mark.parametrize(
    ("task_type", "seconds"),
    [
        (TaskType.START_SERVER, 300),
        (TaskType.STOP_SERVER, 300),
        (TaskType.RESTART_SERVER, 300),
        # What an awake scheduler needs is not late.
        (TaskType.REINSTALL_OS, ON_TIME_SECONDS),
    ],
)
def test_how_late_an_operation_may_begin_depends_on_what_it_is(task_type: TaskType, seconds: int) -> None:
    assert LateLimits().start_until(task_type, NOW) == after(seconds)


def test_late_limits_can_be_set() -> None:
    limits = LateLimits(default_seconds=7, reinstall_seconds=60)
    assert limits.start_until(TaskType.STOP_SERVER, NOW) == after(7)
    assert limits.start_until(TaskType.REINSTALL_OS, NOW) == after(60)


def test_the_anchor_is_the_date_that_the_rule_names() -> None:
    assert anchor_of(a_rule(at=time(11)), NOW) == date(2026, 3, 2)
    assert anchor_of(a_rule(Cycle.ONCE, at=time(11)), NOW) is None
