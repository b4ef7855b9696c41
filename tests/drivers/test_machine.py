from fleetcron.domain.fleet import Power
from fleetcron.domain.task import TaskType
from fleetcron.drivers.machine import Machine, Operation, draw

START, STOP, RESTART = TaskType.START_SERVER, TaskType.STOP_SERVER, TaskType.RESTART_SERVER


def an_operation(
    task_type: TaskType, *, ends_at: float | None = 10.0, fails: bool = False, ordinal: int = 1
) -> Operation:
    return Operation(ordinal=ordinal, task_type=task_type, ends_at=ends_at, fails=fails)


def test_an_operation_has_its_effect_when_it_is_over_and_not_before() -> None:
    machine = Machine(power=Power.ON, users=3)
    machine.accept(an_operation(RESTART))
    machine.settle(9.9)
    assert (machine.boots, machine.users) == (0, 3)
    machine.settle(10.0)
    assert (machine.power, machine.boots, machine.users) == (Power.ON, 1, 0)


def test_one_that_fails_has_no_effect_and_one_that_hangs_is_never_over() -> None:
    machine = Machine(power=Power.ON, users=0)
    machine.accept(an_operation(STOP, fails=True))
    machine.settle(11.0)
    assert (machine.power, machine.operation) == (Power.ON, None)
    machine.accept(an_operation(STOP, ends_at=None))
    machine.settle(1e9)
    assert machine.operation is not None


def test_a_later_operation_cuts_the_one_under_way() -> None:
    machine = Machine(power=Power.ON, users=2)
    machine.accept(an_operation(STOP, ends_at=None))
    machine.accept(an_operation(RESTART, ordinal=2))
    machine.settle(10.0)
    assert (machine.cut, machine.users, machine.boots) == ({1}, 0, 1)


def test_what_is_so_already_needs_no_operation() -> None:
    machine = Machine(power=Power.ON, users=0)
    assert machine.is_idle_request(START)
    assert not machine.is_idle_request(STOP)
    assert not machine.is_idle_request(RESTART)


def test_draws_are_the_same_for_the_same_name_and_within_bounds() -> None:
    assert draw("a") == draw("a") != draw("b")
    assert all(0 <= one < 1 for name in map(str, range(500)) for one in draw(name))
