"""One command carried out: observed before anything is sent, written down before it is sent, proven before it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import msgspec
import pytest

from builders import NOW, after
from fleetcron.dispatch.contract import Began, Command, Settled, Submitted
from fleetcron.domain.execution import RESULT_MESSAGE_LENGTH_MAX, Evidence, ResultCode
from fleetcron.domain.fleet import Power
from fleetcron.domain.task import TaskType
from fleetcron.drivers.contract import Capabilities, Observation, Poll, Progress, Request
from fleetcron.errors import Busy, Indeterminate, Permanent, Retryable, Unavailable
from fleetcron.worker.attempt import SENDS_MAX
from fleetcron.worker.limits import AttemptConfig
from worker_bench import DONE, EVERYTHING, PENDING, Bench, Lab, Taken, a_command, begun, never

START, STOP = TaskType.START_SERVER, TaskType.STOP_SERVER
RESTART, REINSTALL = TaskType.RESTART_SERVER, TaskType.REINSTALL_OS

MARKERLESS = Capabilities(task_types=frozenset(TaskType))
BUSY = Observation(power=Power.TRANSITION, busy=True)


def ended(settled: Settled) -> ResultCode | Evidence | None:
    """How it ended, in one word."""
    assert (settled.evidence is None) != (settled.result_code is None)
    assert (settled.result_code is None) == (settled.result_message is None)
    return settled.result_code or settled.evidence


# The order is the promise


def test_began_is_committed_before_the_server_is_told() -> None:
    bench = Bench()
    end = bench.carry_out(a_command())
    assert bench.diary == ["observe", "began 1", "submit RESTART_SERVER", "submitted", "poll"]
    assert ended(end) is Evidence.BOOT_MARKER_CHANGED


def test_began_says_what_was_seen_before_and_until_when_it_will_end() -> None:
    bench = Bench(config=AttemptConfig(restart=120))
    bench.carry_out(a_command())
    assert bench.events[0] == Began(
        execution_id="e1",
        ordinal=1,
        attempt="a1",
        began_at=NOW,
        settle_until=after(120),
        boot_marker="boot-1",
        sends=1,
    )
    assert bench.events[1] == Submitted(execution_id="e1", ordinal=1, attempt="a1", ticket="ticket-1")


def test_the_server_is_told_what_was_asked() -> None:
    bench = Bench()
    bench.carry_out(a_command(STOP, enforcement=True))
    (request,) = bench.lab.requests
    assert (request.task_type, request.handle, request.forced, request.boot_marker) == (STOP, "h1", True, "boot-1")
    assert request.request_id.startswith("e1/1")


def test_nothing_is_sent_when_began_could_not_be_committed() -> None:
    bench = Bench()
    bench.refuse = lambda event: isinstance(event, Began)
    with pytest.raises(Unavailable):
        bench.carry_out(a_command())
    assert bench.submits() == 0


def test_nothing_more_is_sent_when_the_ticket_could_not_be_committed() -> None:
    bench = Bench()
    bench.refuse = lambda event: isinstance(event, Submitted)
    with pytest.raises(Unavailable):
        bench.carry_out(a_command())
    assert bench.diary[-2:] == ["submit RESTART_SERVER", "refused submitted"]


def test_nothing_is_sent_again_when_the_engine_says_that_it_is_over() -> None:
    bench = Bench()
    bench.refuse = lambda event: isinstance(event, Began) and event.sends > 1
    bench.lab.answers.append(Indeterminate("no answer"))
    with pytest.raises(Unavailable):
        bench.carry_out(a_command())
    assert bench.submits() == 1


def test_an_end_says_whose_it_is() -> None:
    assert Bench().carry_out(a_command()).attempt == "a1"
    assert Bench(Lab(users=3)).carry_out(a_command()).attempt == "a1"


# A command that may be another worker's by now


def lapse_at(bench: Bench, what: str) -> None:
    """Freeze the worker for longer than the line waits, when the diary comes to ``what``."""

    def freeze(_: object) -> bool:
        bench.line.lapsed = bench.line.lapsed or what in bench.diary
        return False

    bench.lab.meanwhile = lambda: setattr(bench.line, "lapsed", bench.line.lapsed or what in bench.diary)
    bench.refuse = freeze


class FarLab(Lab):
    """Its server is far away: the command has lapsed long before an order arrives there."""

    def __init__(self) -> None:
        super().__init__()
        self.lapse: Callable[[], None] = lambda: None

    async def submit(self, request: Request) -> str:
        self.lapse()
        await never()
        return await super().submit(request)


def test_an_order_that_is_on_its_way_when_the_command_lapses_does_not_arrive() -> None:
    lab = FarLab()
    bench = Bench(lab)
    lab.lapse = lambda: setattr(bench.line, "lapsed", True)
    with pytest.raises(Unavailable, match="broken off"):
        bench.carry_out(a_command())
    assert bench.diary == ["observe", "began 1"]


@pytest.mark.parametrize("task_type", TaskType)
def test_a_worker_that_was_frozen_between_began_and_sending_tells_the_server_nothing(task_type: TaskType) -> None:
    bench = Bench(Lab(power=Power.OFF if task_type is START else Power.ON))
    lapse_at(bench, "observe")
    with pytest.raises(Unavailable):
        bench.carry_out(a_command(task_type))
    assert bench.diary == ["observe", "began 1"]
    assert bench.line.handed_back == [a_command(task_type)]


def test_a_worker_that_was_frozen_after_began_warns_nobody() -> None:
    bench = Bench(Lab(users=2))
    lapse_at(bench, "observe")
    with pytest.raises(Unavailable):
        bench.carry_out(a_command(enforcement=True))
    assert bench.diary == ["observe", "began 1"]


def test_a_worker_that_was_frozen_while_the_users_had_their_notice_sends_nothing() -> None:
    bench = Bench(Lab(users=2))
    lapse_at(bench, "notify")
    with pytest.raises(Unavailable):
        bench.carry_out(a_command(enforcement=True))
    assert bench.diary == ["observe", "began 1", "notify", "observe", "began 2"]


@pytest.mark.parametrize("error", [Indeterminate("the line broke"), Retryable("throttled")])
def test_a_worker_that_was_frozen_after_it_sent_does_not_send_again(error: Exception) -> None:
    bench = Bench()
    bench.lab.answers.append(error)
    lapse_at(bench, "submit RESTART_SERVER")
    with pytest.raises(Unavailable):
        bench.carry_out(a_command())
    assert bench.submits() == 1


def test_a_worker_that_was_frozen_while_the_server_stopped_does_not_reinstall_it() -> None:
    bench = Bench()
    lapse_at(bench, "submit STOP_SERVER")
    with pytest.raises(Unavailable):
        bench.carry_out(a_command(REINSTALL))
    assert [request.task_type for request in bench.lab.requests] == [STOP]


def test_what_the_server_was_told_in_time_is_followed_to_its_end_even_so() -> None:
    bench = Bench()
    lapse_at(bench, "submit RESTART_SERVER")
    assert ended(bench.carry_out(a_command())) is Evidence.BOOT_MARKER_CHANGED
    assert bench.line.handed_back == []


# What a success rests on


@pytest.mark.parametrize(("task_type", "power"), [(START, Power.ON), (STOP, Power.OFF)])
def test_a_server_that_is_there_already_is_told_nothing(task_type: TaskType, power: Power) -> None:
    bench = Bench(Lab(power=power))
    assert ended(bench.carry_out(a_command(task_type))) is Evidence.POWER_SEEN
    assert bench.diary == ["observe", "began 1"]


@pytest.mark.parametrize("task_type", [RESTART, REINSTALL])
def test_a_restart_and_a_reinstallation_are_done_whatever_the_server_is(task_type: TaskType) -> None:
    bench = Bench(Lab(power=Power.OFF))
    assert ended(bench.carry_out(a_command(task_type))) is Evidence.BOOT_MARKER_CHANGED
    assert [request.task_type for request in bench.lab.requests] == [task_type]


def test_an_end_without_evidence_is_only_accepted() -> None:
    bench = Bench()
    bench.lab.progress.append(Poll(progress=Progress.DONE))
    assert ended(bench.carry_out(a_command())) is Evidence.ACCEPTED


def test_what_takes_its_time_is_asked_after_until_it_is_done() -> None:
    bench = Bench()
    bench.lab.progress.extend([PENDING, Retryable("no answer"), PENDING, Indeterminate("no answer"), Busy("later")])
    assert ended(bench.carry_out(a_command())) is Evidence.BOOT_MARKER_CHANGED
    assert bench.submits() == 1
    assert bench.diary.count("poll") == 6


def test_a_failure_that_the_server_reports_is_told_with_its_reason() -> None:
    bench = Bench()
    bench.lab.progress.append(Poll(progress=Progress.FAILED, reason="no boot device"))
    end = bench.carry_out(a_command())
    assert (end.result_code, end.result_message) == (ResultCode.FAILED, "no boot device")


def test_a_ticket_that_is_not_known_any_more_leaves_the_outcome_unknown() -> None:
    bench = Bench()
    bench.lab.progress.append(Permanent("no such operation"))
    assert ended(bench.carry_out(a_command())) is ResultCode.UNKNOWN
    assert bench.submits() == 1


def test_a_long_reason_is_cut_to_what_can_be_kept() -> None:
    bench = Bench()
    bench.lab.progress.append(Poll(progress=Progress.FAILED, reason="x" * 10_000))
    assert len(bench.carry_out(a_command()).result_message or "") == RESULT_MESSAGE_LENGTH_MAX


# Deadlines


@pytest.mark.parametrize("task_type", TaskType)
def test_nothing_outlives_its_deadline(task_type: TaskType) -> None:
    config = AttemptConfig(start=30, stop=40, restart=50, reinstall=60, notice=0)
    bench = Bench(Lab(power=Power.ON if task_type is STOP else Power.OFF), config=config)
    bench.lab.progress.extend([PENDING] * 1_000)
    end = bench.carry_out(a_command(task_type))
    assert ended(end) is ResultCode.TIMEOUT
    limit = config.limit(task_type)
    assert NOW + limit <= end.ended_at <= NOW + limit + timedelta(seconds=5)


def test_a_deadline_that_passed_while_nobody_looked_ends_it() -> None:
    bench = Bench()
    bench.lab.progress.extend([PENDING] * 10)
    assert ended(bench.carry_out(begun(ticket="t", settle_until=after(-1)))) is ResultCode.TIMEOUT


def test_a_command_that_comes_too_late_is_missed_without_a_look() -> None:
    bench = Bench()
    bench.clock.advance(300.001)
    assert ended(bench.carry_out(a_command())) is ResultCode.MISSED
    assert bench.diary == []


def test_a_worker_that_was_frozen_while_it_looked_sends_nothing_after_the_limit() -> None:
    bench = Bench()
    bench.lab.meanwhile = lambda: setattr(bench.clock, "now", after(301))
    assert ended(bench.carry_out(a_command())) is ResultCode.MISSED
    assert bench.submits() == 0


def test_a_worker_that_was_frozen_between_began_and_sending_sends_nothing_after_the_limit() -> None:
    bench = Bench()

    def freeze(event: object) -> bool:
        bench.clock.advance(3_600)
        return False

    bench.refuse = freeze
    assert ended(bench.carry_out(a_command())) is ResultCode.MISSED
    assert bench.submits() == 0


def test_a_worker_that_was_frozen_while_it_waited_to_retry_sends_nothing_after_the_limit() -> None:
    bench = Bench()
    bench.lab.answers.append(Retryable("later"))

    async def freeze(_: float) -> None:
        bench.clock.advance(3_600)
        await asyncio.sleep(0)

    assert ended(bench.carry_out(a_command(), sleep=freeze)) is ResultCode.MISSED
    assert bench.submits() == 1


def test_a_worker_that_was_frozen_in_doubt_sends_nothing_after_the_limit() -> None:
    bench = Bench()
    bench.lab.answers.append(Indeterminate("no answer"))

    async def freeze(_: float) -> None:
        bench.clock.advance(400)
        await asyncio.sleep(0)

    assert ended(bench.carry_out(a_command(), sleep=freeze)) is ResultCode.UNKNOWN
    assert bench.submits() == 1


# People on the server


@pytest.mark.parametrize("task_type", [STOP, RESTART, REINSTALL])
@pytest.mark.parametrize(("users", "words"), [(3, "3 user"), (None, "not known")])
def test_people_are_left_alone_without_enforcement(task_type: TaskType, users: int | None, words: str) -> None:
    bench = Bench(Lab(users=users))
    end = bench.carry_out(a_command(task_type))
    assert end.result_code is ResultCode.USERS
    assert words in (end.result_message or "")
    assert bench.diary == ["observe"]


def test_nobody_there_needs_no_enforcement() -> None:
    assert ended(Bench(Lab(users=0)).carry_out(a_command())) is Evidence.BOOT_MARKER_CHANGED


def test_an_unknown_count_is_no_use_where_the_driver_cannot_count() -> None:
    capabilities = Capabilities(task_types=frozenset(TaskType), marks_boots=True)
    bench = Bench(Lab(capabilities=capabilities, users=None))
    assert ended(bench.carry_out(a_command())) is Evidence.BOOT_MARKER_CHANGED


def test_nobody_uses_a_server_that_is_off_and_starting_one_hurts_nobody() -> None:
    assert ended(Bench(Lab(users=None, power=Power.OFF)).carry_out(a_command())) is Evidence.BOOT_MARKER_CHANGED
    assert ended(Bench(Lab(users=4)).carry_out(a_command(START))) is Evidence.POWER_SEEN


@pytest.mark.parametrize("users", [2, None])
def test_enforcement_warns_waits_and_then_uses_the_hard_form(users: int | None) -> None:
    bench = Bench(Lab(users=users), config=AttemptConfig(notice=45))
    assert ended(bench.carry_out(a_command(enforcement=True))) is Evidence.BOOT_MARKER_CHANGED
    looked_again = ["observe", "began 2", "submit RESTART_SERVER forced"]
    assert bench.diary[:6] == ["observe", "began 1", "notify", *looked_again]
    assert bench.naps == [45]


def test_enforcement_does_not_wait_where_nobody_is_or_nobody_can_be_told() -> None:
    silent = msgspec.structs.replace(EVERYTHING, notifies=False)
    for lab in (Lab(users=0), Lab(users=2, capabilities=silent), Lab(users=2, power=Power.OFF)):
        bench = Bench(lab)
        bench.carry_out(a_command(enforcement=True))
        assert "notify" not in bench.diary
        assert bench.naps == []
        assert bench.submits() == 1


def test_a_notice_may_reach_beyond_the_late_limit_of_what_began_in_time() -> None:
    bench = Bench(Lab(users=2), config=AttemptConfig(notice=500, restart=2_000))
    bench.clock.advance(299)
    assert ended(bench.carry_out(a_command(enforcement=True))) is Evidence.BOOT_MARKER_CHANGED


def test_people_who_cannot_be_told_are_left_alone() -> None:
    bench = Bench(Lab(users=2))
    bench.lab.deaf = Retryable("no answer")
    assert ended(bench.carry_out(a_command(enforcement=True))) is ResultCode.REFUSED
    assert bench.submits() == 0


def test_people_who_came_while_the_outcome_was_in_doubt_are_left_alone() -> None:
    bench = Bench()
    bench.lab.answers.append(Indeterminate("no answer"))
    bench.lab.meanwhile = lambda: setattr(bench.lab, "users", len(bench.lab.requests))
    assert ended(bench.carry_out(a_command())) is ResultCode.USERS
    assert bench.submits() == 1


# A server that is busy, out of reach, or will not


def test_a_busy_server_is_waited_for() -> None:
    bench = Bench()
    bench.lab.looks.extend([BUSY, BUSY])
    assert ended(bench.carry_out(a_command())) is Evidence.BOOT_MARKER_CHANGED
    assert bench.diary[:4] == ["observe"] * 3 + ["began 1"]


def test_a_server_that_stays_busy_is_a_conflict_and_is_told_nothing() -> None:
    bench = Bench()
    bench.lab.busy = True
    end = bench.carry_out(a_command())
    assert ended(end) is ResultCode.CONFLICT
    assert bench.submits() == 0
    assert end.ended_at <= after(300)


def test_a_server_that_is_busy_when_it_is_told_is_told_again_until_the_limit() -> None:
    bench = Bench()
    bench.lab.answers.extend([Busy("updating")] * 2)
    assert ended(bench.carry_out(a_command())) is Evidence.BOOT_MARKER_CHANGED
    assert bench.submits() == 3
    bench = Bench()
    bench.lab.answers.extend([Busy("updating")] * 1_000)
    end = bench.carry_out(a_command())
    assert (end.result_code, end.result_message) == (ResultCode.CONFLICT, "updating")
    assert end.ended_at <= after(300)


def test_what_was_not_done_is_tried_again_when_the_server_says() -> None:
    bench = Bench()
    bench.lab.answers.append(Retryable("throttled", retry_after_seconds=7))
    assert ended(bench.carry_out(a_command())) is Evidence.BOOT_MARKER_CHANGED
    assert bench.naps[0] == 7
    assert bench.diary[:2] == ["observe", "began 1"]
    assert bench.diary[3:5] == ["observe", "began 2"]
    assert len({request.request_id for request in bench.lab.requests}) == 2


def test_people_who_come_while_it_is_tried_again_are_left_alone() -> None:
    bench = Bench()
    bench.lab.answers.append(Retryable("throttled", retry_after_seconds=7))
    bench.lab.meanwhile = lambda: setattr(bench.lab, "users", 3 if bench.lab.requests else 0)
    assert ended(bench.carry_out(a_command())) is ResultCode.USERS
    assert bench.submits() == 1


def test_a_server_out_of_reach_is_tried_until_the_limit() -> None:
    for in_reach in ("looks", "answers"):
        bench = Bench()
        getattr(bench.lab, in_reach).extend([Retryable("no route")] * 1_000)
        end = bench.carry_out(a_command())
        assert (end.result_code, end.result_message) == (ResultCode.UNREACHABLE, "no route")
        assert end.ended_at <= after(300)


def test_a_server_that_can_be_seen_again_is_operated_on() -> None:
    bench = Bench()
    bench.lab.looks.extend([Retryable("no route")] * 3)
    assert ended(bench.carry_out(a_command())) is Evidence.BOOT_MARKER_CHANGED


@pytest.mark.parametrize("where", ["looks", "answers"])
def test_what_will_never_work_is_not_tried_again(where: str) -> None:
    bench = Bench()
    getattr(bench.lab, where).append(Permanent("no such server"))
    end = bench.carry_out(a_command())
    assert (end.result_code, end.result_message) == (ResultCode.REFUSED, "no such server")
    assert bench.naps == []


def test_what_the_driver_cannot_do_is_refused_without_a_look() -> None:
    bench = Bench(Lab(capabilities=Capabilities(task_types=frozenset({START, STOP}))))
    assert ended(bench.carry_out(a_command())) is ResultCode.REFUSED
    assert bench.diary == []


# No blind resend


def test_a_restart_of_unknown_outcome_that_was_done_is_done_exactly_once() -> None:
    bench = Bench()
    bench.lab.answers.append(Taken(Indeterminate("the line broke")))
    assert ended(bench.carry_out(a_command())) is Evidence.BOOT_MARKER_CHANGED
    assert bench.submits() == 1
    assert bench.lab.boots == 2
    assert bench.diary[-1] == "observe"


def test_a_restart_that_is_still_coming_up_is_waited_for_not_sent_again() -> None:
    bench = Bench()
    bench.lab.answers.append(Taken(Indeterminate("the line broke")))
    bench.lab.looks.extend([bench.lab.seen(), *[BUSY] * 20, Retryable("no route")])
    assert ended(bench.carry_out(a_command())) is Evidence.BOOT_MARKER_CHANGED
    assert bench.submits() == 1


def test_a_restart_that_was_not_done_is_observed_first_and_then_sent_again() -> None:
    bench = Bench(config=AttemptConfig(doubt=15))
    bench.lab.answers.append(Indeterminate("the line broke"))
    assert ended(bench.carry_out(a_command())) is Evidence.BOOT_MARKER_CHANGED
    first = bench.diary.index("submit RESTART_SERVER")
    second = bench.diary.index("submit RESTART_SERVER", first + 1)
    between = bench.diary[first + 1 : second]
    assert set(between[:-1]) == {"observe"}
    assert between[-1] == "began 2"
    assert sum(bench.naps) >= 15
    assert bench.lab.boots == 2


def test_a_restart_is_sent_no_more_than_so_often() -> None:
    bench = Bench()
    bench.lab.answers.extend([Indeterminate("the line broke")] * 10)
    assert ended(bench.carry_out(a_command())) is ResultCode.UNKNOWN
    assert bench.submits() == SENDS_MAX


def test_a_driver_that_breaks_while_it_sends_may_have_sent() -> None:
    bench = Bench()
    bench.lab.answers.append(Taken(ValueError("a bug")))
    assert ended(bench.carry_out(a_command())) is Evidence.BOOT_MARKER_CHANGED
    assert bench.submits() == 1


def test_without_boot_markers_a_restart_of_unknown_outcome_is_not_sent_again() -> None:
    bench = Bench(Lab(capabilities=MARKERLESS))
    bench.lab.answers.append(Taken(Indeterminate("the line broke")))
    assert ended(bench.carry_out(a_command())) is ResultCode.UNKNOWN
    assert bench.submits() == 1


@pytest.mark.parametrize("taken", [True, False])
def test_a_reinstallation_of_unknown_outcome_is_never_sent_again(taken: bool) -> None:
    bench = Bench(Lab(power=Power.OFF))
    error = Indeterminate("the line broke")
    bench.lab.answers.append(Taken(error) if taken else error)
    assert ended(bench.carry_out(a_command(REINSTALL))) is ResultCode.UNKNOWN
    assert bench.submits() == 1


@pytest.mark.parametrize("task_type", [START, STOP])
@pytest.mark.parametrize("taken", [True, False])
def test_a_start_or_stop_of_unknown_outcome_is_decided_by_looking(task_type: TaskType, taken: bool) -> None:
    bench = Bench(Lab(power=Power.ON if task_type is STOP else Power.OFF))
    error = Indeterminate("the line broke")
    bench.lab.answers.append(Taken(error) if taken else error)
    end = bench.carry_out(a_command(task_type))
    assert end.result_code is None
    assert bench.submits() == (1 if taken else 2)


def test_an_outcome_that_can_never_be_seen_ends_at_the_deadline() -> None:
    bench = Bench()
    bench.lab.answers.append(Indeterminate("the line broke"))
    seen = bench.lab.seen()
    bench.lab.looks.extend([seen, *[Retryable("no route")] * 5_000])
    end = bench.carry_out(a_command())
    assert ended(end) is ResultCode.TIMEOUT
    assert bench.submits() == 1
    assert end.ended_at <= after(905)


# Taken up after a crash


def test_with_a_ticket_it_is_asked_after_and_not_sent_again() -> None:
    bench = Bench()
    bench.lab.progress.append(PENDING)
    assert ended(bench.carry_out(begun(ticket="from before"))) is Evidence.BOOT_MARKER_CHANGED
    assert bench.diary == ["poll", "poll"]


@pytest.mark.parametrize("task_type", TaskType)
def test_without_a_ticket_it_is_observed_before_anything_is_sent(task_type: TaskType) -> None:
    bench = Bench(Lab(power=Power.ON if task_type is STOP else Power.OFF))
    bench.carry_out(begun(task_type))
    assert bench.diary[0] == "observe"
    submits = [index for index, what in enumerate(bench.diary) if what.startswith("submit ")]
    assert all(bench.diary[index - 1] == "began 2" for index in submits)


def test_without_a_ticket_what_was_done_is_found_to_be_done() -> None:
    bench = Bench()
    bench.lab.boots = 2
    assert ended(bench.carry_out(begun())) is Evidence.BOOT_MARKER_CHANGED
    assert bench.submits() == 0


def test_without_a_ticket_what_was_not_done_is_sent_once_more_and_counted() -> None:
    bench = Bench()
    assert ended(bench.carry_out(begun())) is Evidence.BOOT_MARKER_CHANGED
    assert bench.submits() == 1
    assert bench.events[0] == Began(
        execution_id="e1",
        ordinal=1,
        attempt="a1",
        began_at=after(15.5),
        settle_until=after(895),
        boot_marker="boot-1",
        sends=2,
    )


@pytest.mark.parametrize(
    ("command", "lab"),
    [
        (begun(boot_marker=None), Lab(capabilities=MARKERLESS)),
        (begun(boot_marker=None), Lab()),
        (begun(REINSTALL), Lab(power=Power.OFF)),
        (begun(REINSTALL), Lab(power=Power.ON)),
        (begun(sends=SENDS_MAX), Lab()),
        (begun(start_until=after(-1)), Lab()),
    ],
)
def test_where_it_cannot_be_known_or_is_too_late_it_is_not_sent_again(command: Command, lab: Lab) -> None:
    bench = Bench(lab)
    assert ended(bench.carry_out(command)) is ResultCode.UNKNOWN
    assert bench.submits() == 0


def test_a_server_that_came_up_by_hand_proves_no_reinstallation() -> None:
    bench = Bench()
    bench.lab.boots = 9
    assert ended(bench.carry_out(begun(REINSTALL))) is ResultCode.UNKNOWN


# Reinstalling only what is off


def test_a_server_that_is_on_is_stopped_and_seen_off_before_it_is_reinstalled() -> None:
    bench = Bench()
    bench.lab.progress.append(Poll(progress=Progress.DONE, evidence=Evidence.POWER_SEEN))
    assert ended(bench.carry_out(a_command(REINSTALL, start_until=after(5)))) is Evidence.BOOT_MARKER_CHANGED
    assert bench.diary == [
        "observe",
        "began 1",
        "submit STOP_SERVER",
        "poll",
        "observe",
        "began 2",
        "submit REINSTALL_OS",
        "submitted",
        "poll",
    ]


def test_a_server_that_takes_its_time_to_stop_is_reinstalled_all_the_same() -> None:
    """It began in time; what it takes to stop is not lateness. Left as it is, it would stay switched off."""
    bench = Bench()
    bench.lab.progress.extend([*[PENDING] * 30, DONE])
    end = bench.carry_out(a_command(REINSTALL, start_until=after(5)))
    assert bench.clock() > after(30)
    assert ended(end) is Evidence.BOOT_MARKER_CHANGED


def test_a_server_whose_subtask_ended_while_it_was_stopped_is_not_reinstalled() -> None:
    bench = Bench()
    bench.refuse = lambda event: isinstance(event, Began) and event.sends > 1
    with pytest.raises(Unavailable):
        bench.carry_out(a_command(REINSTALL))
    assert [request.task_type for request in bench.lab.requests] == [STOP]


def test_a_server_that_says_it_stopped_and_is_not_off_is_not_reinstalled() -> None:
    bench = Bench()
    seen = bench.lab.seen()
    bench.lab.looks.extend([seen, seen])
    assert ended(bench.carry_out(a_command(REINSTALL))) is ResultCode.NOT_OFF
    assert [request.task_type for request in bench.lab.requests] == [STOP]


@pytest.mark.parametrize("error", [Indeterminate("the line broke"), Taken(Indeterminate("the line broke"))])
def test_a_server_whose_stop_is_in_doubt_is_not_reinstalled(error: Exception | Taken) -> None:
    bench = Bench()
    bench.lab.answers.append(error)
    assert ended(bench.carry_out(a_command(REINSTALL))) is ResultCode.NOT_OFF
    assert [request.task_type for request in bench.lab.requests] == [STOP]


def test_the_stop_and_the_reinstallation_are_two_requests() -> None:
    """A server that knows a request by its id must not take the second for the first said again."""
    bench = Bench()
    bench.carry_out(a_command(REINSTALL))
    assert len({request.request_id for request in bench.lab.requests}) == 2
