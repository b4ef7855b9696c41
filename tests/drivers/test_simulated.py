from __future__ import annotations

import asyncio
import itertools
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcron.domain.execution import Evidence
from fleetcron.domain.fleet import Power
from fleetcron.domain.task import TaskType
from fleetcron.drivers.contract import Observation, Poll, Progress, Request
from fleetcron.drivers.simulated import SimulatedConfig, SimulatedDriver
from fleetcron.errors import Busy, DriverError, Permanent, Retryable

START, STOP = TaskType.START_SERVER, TaskType.STOP_SERVER
RESTART, REINSTALL = TaskType.RESTART_SERVER, TaskType.REINSTALL_OS
WAIT_SECONDS_MAX = 30
_T = TypeVar("_T")


class Fleet:
    """A simulated fleet whose clock the test moves, and whose driver can be opened again and again."""

    def __init__(self, folder: Path, **settings: Any) -> None:  # noqa: ANN401 - the settings' own types
        self.config = SimulatedConfig(**settings)
        self.path = folder / "simulated-test.jsonl"
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self._numbers = itertools.count(1)
        self._drivers: list[SimulatedDriver] = []
        self.driver = self.another_driver()

    def another_driver(self) -> SimulatedDriver:
        journal = None if self.config.volatile else self.path
        driver = SimulatedDriver(self.config, journal=journal, clock=lambda: self.now)
        self._drivers.append(driver)
        return driver

    def crash(self) -> None:
        """Go on as a new process: nothing is left but the journal."""
        self.driver = self.another_driver()

    def pass_seconds(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def look(self, handle: str = "a") -> Observation:
        seen = self.look_or_error(handle)
        assert isinstance(seen, Observation)
        return seen

    def look_or_error(self, handle: str = "a") -> Observation | DriverError:
        return run(self.driver.observe([handle]))[handle]

    def submit(self, task_type: TaskType, handle: str = "a", *, forced: bool = False) -> str:
        return run(self.driver.submit(self.request(task_type, handle, forced=forced)))

    def request(self, task_type: TaskType, handle: str = "a", *, forced: bool = False) -> Request:
        number = next(self._numbers)
        return Request(request_id=f"r{number}", task_type=task_type, handle=handle, forced=forced, boot_marker=None)

    def poll(self, ticket: str) -> Poll:
        answer = run(self.driver.poll([ticket]))[ticket]
        assert isinstance(answer, Poll)
        return answer

    def facts(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def close(self) -> None:
        for driver in self._drivers:
            run(driver.aclose())


def run(coroutine: Coroutine[Any, Any, _T]) -> _T:
    return asyncio.run(coroutine)


OpenFleet = Callable[..., Fleet]


@pytest.fixture
def fleet(tmp_path: Path, request: pytest.FixtureRequest) -> OpenFleet:
    def open_fleet(**settings: Any) -> Fleet:  # noqa: ANN401 - the settings' own types
        opened = Fleet(tmp_path, **settings)
        request.addfinalizer(opened.close)
        return opened

    return open_fleet


def test_a_restart_is_in_transition_until_its_boot_ends_and_only_then_shows_a_new_marker(fleet: OpenFleet) -> None:
    servers = fleet(stop_seconds=(2, 2), boot_seconds=(3, 3))
    before = servers.look()
    ticket = servers.submit(RESTART)
    servers.pass_seconds(4.9)
    under_way = servers.look()
    assert (under_way.power, under_way.busy, under_way.boot_marker) == (Power.TRANSITION, True, before.boot_marker)
    assert servers.poll(ticket).progress is Progress.PENDING
    servers.pass_seconds(0.2)
    after = servers.look()
    assert (after.power, after.busy) == (Power.ON, False)
    assert after.boot_marker != before.boot_marker
    assert servers.poll(ticket) == Poll(progress=Progress.DONE, evidence=Evidence.BOOT_MARKER_CHANGED)


def test_every_boot_has_a_marker_of_its_own(fleet: OpenFleet) -> None:
    servers = fleet()
    markers = set()
    for handle, _ in itertools.product("ab", range(5)):
        markers.add(servers.look(handle).boot_marker)
        servers.submit(RESTART, handle)
        servers.pass_seconds(60)
    assert len(markers) == 10


def test_a_restart_of_a_server_that_is_off_boots_it(fleet: OpenFleet) -> None:
    servers = fleet(initial_power="OFF", boot_seconds=(3, 3))
    servers.submit(RESTART)
    servers.pass_seconds(3)
    assert servers.look().power is Power.ON


def test_a_reinstall_needs_the_server_off_and_boots_it_anew(fleet: OpenFleet) -> None:
    servers = fleet()
    with pytest.raises(Permanent, match="off"):
        servers.submit(REINSTALL)
    servers.submit(STOP)
    servers.pass_seconds(60)
    before = servers.look()
    ticket = servers.submit(REINSTALL)
    servers.pass_seconds(60)
    assert servers.poll(ticket).evidence is Evidence.BOOT_MARKER_CHANGED
    assert servers.look().power is Power.ON
    assert servers.look().boot_marker != before.boot_marker


def test_a_server_in_transition_takes_nothing_but_the_hard_form(fleet: OpenFleet) -> None:
    servers = fleet()
    graceful = servers.submit(RESTART)
    with pytest.raises(Busy):
        servers.submit(STOP)
    hard = servers.submit(STOP, forced=True)
    servers.pass_seconds(60)
    assert servers.poll(graceful).progress is Progress.FAILED
    assert servers.poll(hard).progress is Progress.DONE
    assert servers.look().power is Power.OFF


def test_a_hung_operation_never_ends_by_itself_and_the_hard_form_ends_it(fleet: OpenFleet) -> None:
    servers = fleet(hang_probability=1)
    hung = servers.submit(RESTART)
    servers.pass_seconds(1_000_000)
    assert servers.poll(hung).progress is Progress.PENDING
    assert servers.look().busy
    servers.crash()
    assert servers.look().busy
    hard = servers.submit(RESTART, forced=True)
    servers.pass_seconds(60)
    assert servers.poll(hard).evidence is Evidence.BOOT_MARKER_CHANGED
    assert servers.poll(hung).progress is Progress.FAILED


def test_users_are_gone_after_a_restart_and_stay_through_a_start_of_what_runs(fleet: OpenFleet) -> None:
    servers = fleet(users={"a": 3})
    assert (servers.look("a").users, servers.look("b").users) == (3, 0)
    servers.submit(START)
    servers.pass_seconds(60)
    assert servers.look().users == 3
    servers.submit(RESTART)
    servers.pass_seconds(60)
    assert servers.look().users == 0


def test_about_as_many_servers_are_used_as_the_probability_says(fleet: OpenFleet) -> None:
    servers = fleet(users_probability=0.3)
    seen = run(servers.driver.observe([f"server-{number}" for number in range(1000)]))
    used = sum(isinstance(one, Observation) and bool(one.users) for one in seen.values())
    assert 250 < used < 350


def test_a_refusal_is_permanent_and_changes_nothing(fleet: OpenFleet) -> None:
    servers = fleet(refuse_probability=1)
    before = servers.look()
    with pytest.raises(Permanent, match="refuses"):
        servers.submit(RESTART)
    assert servers.look() == before


def test_a_server_out_of_reach_comes_back_as_time_passes(fleet: OpenFleet) -> None:
    servers = fleet(unreachable_probability=0.5)
    answers = []
    for _ in range(40):
        answers.append(isinstance(servers.look_or_error(), Retryable))
        servers.pass_seconds(1)
    assert {True, False} == set(answers)


def test_about_as_many_operations_fail_as_the_probability_says(fleet: OpenFleet) -> None:
    servers = fleet(failure_probability=0.2, volatile=True)
    tickets = [servers.submit(STOP, f"server-{number}") for number in range(300)]
    servers.pass_seconds(60)
    failed = sum(servers.poll(ticket).progress is Progress.FAILED for ticket in tickets)
    assert 35 < failed < 85


def test_a_volatile_fleet_writes_nothing(fleet: OpenFleet) -> None:
    servers = fleet(volatile=True)
    ticket = servers.submit(RESTART)
    servers.pass_seconds(60)
    assert servers.poll(ticket).progress is Progress.DONE
    assert not servers.path.exists()


def test_the_journal_tells_who_was_told_what_and_what_was_seen_between(fleet: OpenFleet) -> None:
    servers = fleet(journal_observations=True)
    servers.submit(RESTART)
    servers.pass_seconds(60)
    servers.look()
    servers.submit(RESTART)
    with pytest.raises(Busy):
        servers.submit(STOP)
    told = [(fact["verb"], fact["answer"], fact.get("request_id")) for fact in servers.facts()]
    assert told == [
        ("submit", "accepted", "r1"),
        ("observe", "accepted", None),
        ("submit", "accepted", "r2"),
        ("submit", "Busy", "r3"),
    ]


def test_observations_are_not_journalled_unless_asked_for(fleet: OpenFleet) -> None:
    servers = fleet()
    servers.look()
    assert servers.facts() == []


def test_a_torn_last_line_never_happened_and_spoils_nothing_after_it(fleet: OpenFleet) -> None:
    servers = fleet()
    servers.submit(STOP, "a")
    servers.submit(STOP, "b")
    whole = servers.path.read_bytes()
    servers.path.write_bytes(whole[:-20])
    servers.crash()
    servers.pass_seconds(60)
    assert (servers.look("a").power, servers.look("b").power) == (Power.OFF, Power.ON)
    servers.submit(STOP, "c")
    servers.pass_seconds(60)
    servers.crash()
    assert [servers.look(handle).power for handle in "abc"] == [Power.OFF, Power.ON, Power.OFF]


def test_two_processes_share_one_world(fleet: OpenFleet) -> None:
    servers = fleet()
    other = servers.another_driver()
    servers.submit(RESTART)
    with pytest.raises(Busy):
        run(other.submit(servers.request(STOP)))
    servers.pass_seconds(60)
    run(other.submit(servers.request(STOP)))
    servers.pass_seconds(60)
    assert servers.look().power is Power.OFF


def test_who_is_cut_off_after_the_server_was_told_finds_it_told(fleet: OpenFleet) -> None:
    servers = fleet(submit_latency_seconds=0.5)

    async def cut_off() -> None:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            telling = asyncio.create_task(servers.driver.submit(servers.request(STOP)))
            while not servers.path.read_bytes():  # noqa: ASYNC110 - the file is written by the driver, not by us
                await asyncio.sleep(0.01)
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)

    run(cut_off())
    servers.pass_seconds(60)
    servers.crash()
    assert servers.look().power is Power.OFF


KILLED = """
import asyncio, os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from fleetcron.domain.task import TaskType
from fleetcron.drivers.contract import Request
from fleetcron.drivers.simulated import SimulatedConfig, SimulatedDriver

driver = SimulatedDriver(SimulatedConfig(), journal=Path(sys.argv[1]), clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
request = Request(request_id="r", task_type=TaskType.STOP_SERVER, handle="a", forced=False, boot_marker=None)
print(asyncio.run(driver.submit(request)), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_world_survives_a_killed_process(fleet: OpenFleet) -> None:
    servers = fleet()
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(servers.path)], capture_output=True, text=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    servers.crash()
    assert servers.look().busy
    servers.pass_seconds(60)
    assert servers.poll(killed.stdout.strip()) == Poll(progress=Progress.DONE, evidence=Evidence.POWER_SEEN)
    assert servers.look().power is Power.OFF


Step = tuple[str, TaskType, bool, float]
STEPS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(TaskType), st.booleans(), st.floats(0, 20)), max_size=25
)
CHANCES = {"failure_probability": 0.2, "hang_probability": 0.2, "refuse_probability": 0.1, "users_probability": 0.5}


@given(steps=STEPS, seed=st.integers(0, 1000))
def test_the_same_seed_tells_the_same_story(steps: list[Step], seed: int) -> None:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        first, second = Fleet(Path(one), seed=seed, **CHANCES), Fleet(Path(other), seed=seed, **CHANCES)
        assert story(first, steps) == story(second, steps)
        first.close()
        second.close()


@given(steps=STEPS, seed=st.integers(0, 1000), crashes=st.sets(st.integers(0, 24)))
def test_a_story_with_crashes_is_the_story_without(steps: list[Step], seed: int, crashes: set[int]) -> None:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        steady, crashing = Fleet(Path(one), seed=seed, **CHANCES), Fleet(Path(other), seed=seed, **CHANCES)
        assert story(steady, steps) == story(crashing, steps, crashes)
        steady.close()
        crashing.close()


@given(steps=STEPS, seed=st.integers(0, 1000))
def test_a_done_restart_has_changed_the_marker_and_a_failed_one_has_not(steps: list[Step], seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        servers = Fleet(Path(folder), seed=seed, failure_probability=0.4, volatile=True)
        for handle, _, forced, _ in steps:
            before = servers.look(handle).boot_marker
            ticket = servers.submit(RESTART, handle, forced=forced)
            servers.pass_seconds(60)
            done = servers.poll(ticket).progress is Progress.DONE
            assert (servers.look(handle).boot_marker != before) is done


def story(servers: Fleet, steps: list[Step], crashes: set[int] | None = None) -> list[object]:
    told: list[object] = []
    tickets: list[str] = []
    for number, (handle, task_type, forced, seconds) in enumerate(steps):
        try:
            tickets.append(servers.submit(task_type, handle, forced=forced))
        except DriverError as error:
            told.append(str(error))
        if number in (crashes or ()):
            servers.crash()
        servers.pass_seconds(seconds)
        told.append([servers.look(name) for name in "abc"])
        told.append([servers.poll(ticket) for ticket in tickets])
    return told
