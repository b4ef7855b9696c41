from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
import uvloop

from fleetcron.domain.execution import Evidence
from fleetcron.domain.fleet import Power
from fleetcron.domain.task import TaskType
from fleetcron.drivers.command import CommandConfig, CommandDriver
from fleetcron.drivers.contract import Observation, Poll, Progress, Request
from fleetcron.errors import Busy, DriverError, Permanent, Retryable

START, STOP = TaskType.START_SERVER, TaskType.STOP_SERVER
RESTART, REINSTALL = TaskType.RESTART_SERVER, TaskType.REINSTALL_OS
WAIT_SECONDS_MAX = 30
PENDING = Poll(progress=Progress.PENDING)
_T = TypeVar("_T")

# Writes its arguments down, as JSON, in the file that it is told.
ARGUMENTS = "import json, sys; open(sys.argv[1], 'w').write(json.dumps(sys.argv[2:]))"

Act = Callable[[CommandDriver], Awaitable[_T]]


def sh(script: str, *arguments: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", script, "sh", *arguments)


def show(folder: Path) -> tuple[str, ...]:
    """Observe by printing the file ``seen``, which the test or another command writes."""
    return ("/bin/cat", str(folder / "seen"))


def on(config: CommandConfig, act: Act[_T], *, operations_max: int = 50) -> _T:
    return asyncio.run(opened(config, act, operations_max))


async def opened(config: CommandConfig, act: Act[_T], operations_max: int = 50) -> _T:
    driver = CommandDriver(config, operations_max=operations_max)
    try:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            return await act(driver)
    finally:
        await driver.aclose()


def request(
    task_type: TaskType, handle: str = "a", *, number: int = 1, forced: bool = False, marker: str | None = None
) -> Request:
    return Request(request_id=f"r{number}", task_type=task_type, handle=handle, forced=forced, boot_marker=marker)


async def look(driver: CommandDriver, handle: str = "a") -> Observation | DriverError:
    return (await driver.observe([handle]))[handle]


async def poll(driver: CommandDriver, ticket: str) -> Poll:
    answer = (await driver.poll([ticket]))[ticket]
    assert isinstance(answer, Poll), answer
    return answer


async def ended(driver: CommandDriver, ticket: str) -> Poll:
    """Ask until the operation has ended; ``opened`` bounds the wait."""
    while True:
        answer = await poll(driver, ticket)
        if answer != PENDING:
            return answer
        await asyncio.sleep(0.01)


async def until(is_true: Callable[[], bool]) -> None:
    """Wait for something that another process does; ``opened`` bounds the wait."""
    while not is_true():  # noqa: ASYNC110 - another process has no event of ours
        await asyncio.sleep(0.01)


def open_files() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())


def runs(pid_file: Path) -> bool:
    """Whether the process that wrote its id there still runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid_file.read_text().strip()}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state.rpartition(")")[2].split()[0] not in {"Z", "X"}


@pytest.mark.parametrize(
    "handle", ["plain", "two words", "$(touch x)`id`;&|", "'\"\\", "{request_id}", "ü", "a\nb", "*"]
)
def test_a_handle_reaches_the_command_as_it_is(handle: str, tmp_path: Path) -> None:
    written = tmp_path / "written"
    restart = (
        sys.executable,
        "-c",
        ARGUMENTS,
        str(written),
        "{handle}",
        "id={request_id}/{handle}",
        '{"n": "{handle}"}',
    )
    config = CommandConfig(observe=sh("echo power=unknown"), restart=restart)

    async def act(driver: CommandDriver) -> None:
        assert (await ended(driver, await driver.submit(request(RESTART, handle)))).progress is Progress.DONE

    on(config, act)
    assert json.loads(written.read_text()) == [handle, f"id=r1/{handle}", f'{{"n": "{handle}"}}']


@pytest.mark.parametrize("handle", ["-rf", "--all", "nul\0nul"])
def test_a_handle_that_is_no_argument_or_would_be_an_option_is_refused(handle: str) -> None:
    config = CommandConfig(observe=("/bin/echo", "{handle}"), stop=("/bin/echo", "{handle}"))

    async def act(driver: CommandDriver) -> None:
        assert isinstance(await look(driver, handle), Permanent)
        with pytest.raises(Permanent):
            await driver.submit(request(STOP, handle))

    on(config, act)


def test_a_handle_within_an_option_may_begin_with_a_dash() -> None:
    config = CommandConfig(observe=sh('[ "$1" = --host=-a ] && echo power=on', "--host={handle}"))
    assert on(config, lambda driver: look(driver, "-a")) == Observation(power=Power.ON)


def test_what_observe_prints_is_what_is_seen() -> None:
    config = CommandConfig(observe=sh("echo power=on; echo boot_marker=m1; echo users=2; echo fan=7"))
    assert on(config, look) == Observation(power=Power.ON, boot_marker="m1", users=2)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo power=on; exit 7", "exit code 7: power=on"),
        ("echo power=on; echo first >&2; echo 'no route' >&2; exit 7", "exit code 7: no route"),
        ("exit 7", "exit code 7"),
        ("kill -9 $$", "killed by signal 9"),
        ("printf 'bell\\007\\033[1m\\377' >&2; exit 1", "exit code 1: bell  [1m\ufffd"),
    ],
)
def test_an_observe_that_fails_may_be_tried_again_and_says_why(script: str, reason: str) -> None:
    seen = on(CommandConfig(observe=sh(script)), look)
    assert isinstance(seen, Retryable)
    assert seen.reason == f"observe: {reason}"


def test_an_observe_that_does_not_say_the_power_is_wrong_for_good() -> None:
    seen = on(CommandConfig(observe=sh("echo users=1")), look)
    assert isinstance(seen, Permanent)
    assert "power" in seen.reason


def test_a_long_complaint_is_cut_short() -> None:
    seen = on(
        CommandConfig(observe=sh("head -c 100000 /dev/zero | tr '\\0' x >&2; echo >&2; echo end >&2; exit 1")), look
    )
    assert isinstance(seen, Retryable)
    assert seen.reason == "observe: exit code 1: end"
    seen = on(CommandConfig(observe=sh("head -c 100000 /dev/zero | tr '\\0' x >&2; exit 1")), look)
    assert isinstance(seen, Retryable)
    assert len(seen.reason) < 255


def test_an_observe_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    config = CommandConfig(observe=sh('sleep 600 & echo $! > "$1"; wait', str(pid_file)), observe_timeout_seconds=0.5)

    async def act(driver: CommandDriver) -> None:
        seen = await look(driver)
        assert isinstance(seen, Retryable)
        assert "within 0.5 s" in seen.reason
        await until(lambda: not runs(pid_file))

    on(config, act)
    assert pid_file.exists()


def test_an_observe_that_is_given_up_is_killed(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    config = CommandConfig(observe=sh('echo $$ > "$1"; exec sleep 600', str(pid_file)))

    async def act(driver: CommandDriver) -> None:
        looking = asyncio.create_task(look(driver))
        await until(lambda: pid_file.exists() and bool(pid_file.read_text()))
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        assert not runs(pid_file)

    on(config, act)


def test_no_more_looks_run_at_once_than_allowed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    config = CommandConfig(
        observe=sh('echo + >> "$1"; sleep 0.02; echo - >> "$1"; echo power=on', str(log)), concurrency_max=3
    )
    on(config, lambda driver: driver.observe([f"server-{number}" for number in range(15)]))
    level = peak = 0
    for mark in log.read_text().split():
        level += 1 if mark == "+" else -1
        peak = max(peak, level)
    assert len(log.read_text().split()) == 30
    assert peak <= 3


def test_no_more_operations_run_at_once_than_allowed(tmp_path: Path) -> None:
    go = tmp_path / "go"
    config = CommandConfig(observe=sh("echo power=off"), stop=sh('while [ ! -e "$1" ]; do sleep 0.01; done', str(go)))

    async def act(driver: CommandDriver) -> None:
        tickets = [await driver.submit(request(STOP, handle)) for handle in "ab"]
        with pytest.raises(Retryable):
            await driver.submit(request(STOP, "c"))
        go.touch()
        for ticket in tickets:
            await ended(driver, ticket)
        await driver.submit(request(STOP, "c"))

    on(config, act, operations_max=2)


def test_a_command_that_ended_well_is_done_only_when_the_server_shows_it(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    seen.write_text("power=on\n")
    done = tmp_path / "done"
    config = CommandConfig(observe=show(tmp_path), stop=sh('touch "$1"', str(done)))

    async def act(driver: CommandDriver) -> None:
        ticket = await driver.submit(request(STOP))
        await until(done.exists)
        await until(lambda: not driver._running)
        assert await poll(driver, ticket) == PENDING
        seen.write_text("power=off\nbusy=true\n")
        assert await poll(driver, ticket) == PENDING
        seen.write_text("power=off\n")
        assert await poll(driver, ticket) == Poll(progress=Progress.DONE, evidence=Evidence.POWER_SEEN)

    on(config, act)


@pytest.mark.parametrize(
    ("task_type", "marker", "seen", "evidence"),
    [
        (START, None, "power=on", Evidence.POWER_SEEN),
        (START, None, "power=unknown", Evidence.ACCEPTED),
        (START, None, "power=off", None),
        (STOP, None, "power=transition", None),
        (RESTART, "m1", "power=on\nboot_marker=m2", Evidence.BOOT_MARKER_CHANGED),
        (RESTART, "m1", "power=on\nboot_marker=m1", None),
        (RESTART, "m1", "power=on", None),
        (RESTART, "m1", "power=off\nboot_marker=m2", None),
        (RESTART, None, "power=on", Evidence.ACCEPTED),
        (RESTART, None, "power=on\nboot_marker=m2", Evidence.ACCEPTED),
        (RESTART, None, "power=off", None),
        (REINSTALL, "m1", "power=on\nboot_marker=m2", Evidence.BOOT_MARKER_CHANGED),
    ],
)
def test_the_evidence_is_what_the_server_shows(
    task_type: TaskType, marker: str | None, seen: str, evidence: Evidence | None, tmp_path: Path
) -> None:
    (tmp_path / "seen").write_text(seen)
    true = sh("true")
    config = CommandConfig(observe=show(tmp_path), start=true, stop=true, restart=true, reinstall=true)

    async def act(driver: CommandDriver) -> Poll:
        ticket = await driver.submit(request(task_type, marker=marker))
        await until(lambda: not driver._running)
        return await poll(driver, ticket)

    expected = PENDING if evidence is None else Poll(progress=Progress.DONE, evidence=evidence)
    assert on(config, act) == expected


def test_another_process_believes_only_what_it_sees(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    config = CommandConfig(observe=show(tmp_path), restart=sh("true"))

    async def submitted(driver: CommandDriver) -> tuple[str, str]:
        return await driver.submit(request(RESTART, "a", marker="m1")), await driver.submit(request(RESTART, "b"))

    with_marker, without = on(config, submitted)

    async def act(driver: CommandDriver) -> None:
        seen.write_text("power=on\nboot_marker=m1\n")
        assert await poll(driver, with_marker) == PENDING
        seen.write_text("power=on\nboot_marker=m2\n")
        assert (await poll(driver, with_marker)).evidence is Evidence.BOOT_MARKER_CHANGED
        assert await poll(driver, without) == PENDING

    on(config, act)


def test_a_command_that_fails_fails_the_operation_with_its_last_words() -> None:
    config = CommandConfig(observe=sh("echo power=on"), restart=sh("echo trying; echo 'the BMC said no' >&2; exit 3"))

    async def act(driver: CommandDriver) -> Poll:
        return await ended(driver, await driver.submit(request(RESTART)))

    assert on(config, act) == Poll(progress=Progress.FAILED, reason="exit code 3: the BMC said no")


def test_a_command_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    config = CommandConfig(
        observe=sh("echo power=on"),
        stop=sh('sleep 600 & echo $! > "$1"; wait', str(pid_file)),
        timeout_seconds=0.5,
    )

    async def act(driver: CommandDriver) -> None:
        answer = await ended(driver, await driver.submit(request(STOP)))
        assert answer == Poll(progress=Progress.FAILED, reason="did not end within 0.5 s and was cut off")
        await until(lambda: not runs(pid_file))

    on(config, act)
    assert pid_file.exists()


def test_a_daemon_that_is_left_behind_does_not_hold_up_its_command(tmp_path: Path) -> None:
    pid_file, go = tmp_path / "pid", tmp_path / "go"
    daemon = '(while [ ! -e "$2" ]; do echo alive; sleep 0.01; done; touch "$2.seen") & echo $! > "$1"'
    config = CommandConfig(observe=sh("echo power=on"), start=sh(daemon, str(pid_file), str(go)))

    async def act(driver: CommandDriver) -> None:
        answer = await ended(driver, await driver.submit(request(START)))
        assert answer.progress is Progress.DONE
        assert runs(pid_file)
        go.touch()
        # Its output is still open, so it goes on writing and is not cut down by a broken pipe.
        await until((tmp_path / "go.seen").exists)

    on(config, act)


def test_a_command_runs_on_when_the_driver_is_closed(tmp_path: Path) -> None:
    started, go, done = (tmp_path / name for name in ("started", "go", "done"))
    script = 'touch "$1"; while [ ! -e "$2" ]; do echo waiting; sleep 0.01; done; touch "$3"'
    config = CommandConfig(observe=sh("echo power=on"), reinstall=sh(script, str(started), str(go), str(done)))

    async def left(driver: CommandDriver) -> None:
        await driver.submit(request(REINSTALL))
        await until(started.exists)

    on(config, left)
    go.touch()
    on(config, lambda _: until(done.exists))


def test_a_chatty_command_is_not_held_up() -> None:
    config = CommandConfig(
        observe=sh("echo power=off"), stop=sh("head -c 50000000 /dev/zero; echo; echo enough; exit 1")
    )

    async def act(driver: CommandDriver) -> Poll:
        return await ended(driver, await driver.submit(request(STOP)))

    reason = on(config, act).reason
    assert reason is not None
    assert reason.startswith("exit code 1")


def test_the_hard_form_runs_its_own_command_beside_the_one_that_hangs(tmp_path: Path) -> None:
    seen, go = tmp_path / "seen", tmp_path / "go"
    seen.write_text("power=on\n")
    config = CommandConfig(
        observe=show(tmp_path),
        stop=sh('while [ ! -e "$1" ]; do sleep 0.01; done', str(go)),
        force_stop=sh('echo power=off > "$1"', str(seen)),
    )

    async def act(driver: CommandDriver) -> None:
        graceful = await driver.submit(request(STOP))
        with pytest.raises(Busy):
            await driver.submit(request(STOP, number=2))
        hard = await driver.submit(request(STOP, forced=True))
        assert hard != graceful
        assert (await ended(driver, hard)).evidence is Evidence.POWER_SEEN
        go.touch()
        await ended(driver, graceful)

    on(config, act)


def test_without_a_hard_form_the_ordinary_command_runs() -> None:
    config = CommandConfig(observe=sh("echo power=unknown"), restart=sh("true"))

    async def act(driver: CommandDriver) -> Poll:
        return await ended(driver, await driver.submit(request(RESTART, forced=True)))

    assert on(config, act).evidence is Evidence.ACCEPTED


def test_a_driver_can_do_what_it_has_commands_for() -> None:
    config = CommandConfig(observe=("true",), stop=("true",), force_restart=("true",), notify=("true",))

    async def act(driver: CommandDriver) -> None:
        assert driver.capabilities.task_types == {STOP}
        assert driver.capabilities.notifies
        with pytest.raises(Permanent, match="REINSTALL_OS"):
            await driver.submit(request(REINSTALL))

    on(config, act)


@pytest.mark.parametrize("directory", [None, "no-such-folder"])
def test_a_program_that_cannot_be_started_is_named(directory: str | None) -> None:
    config = CommandConfig(observe=("no-such-program",), stop=("no-such-program", "{handle}"), directory=directory)

    async def act(driver: CommandDriver) -> None:
        seen = await look(driver)
        assert isinstance(seen, Permanent)
        assert seen.reason == f"{directory or 'no-such-program'} cannot be started: No such file or directory"
        with pytest.raises(Permanent, match="no-such"):
            await driver.submit(request(STOP))

    on(config, act)


def test_a_command_gets_the_environment_and_the_directory_that_it_is_given(tmp_path: Path) -> None:
    script = 'echo power=on; echo "boot_marker=$SITE:$(basename "$PWD"):${PATH:+path}"'
    (tmp_path / "rack").mkdir()
    config = CommandConfig(observe=sh(script), environment={"SITE": "lab"}, directory=str(tmp_path / "rack"))
    assert on(config, look) == Observation(power=Power.ON, boot_marker="lab:rack:path")


def test_people_are_told_the_text_as_it_is(tmp_path: Path) -> None:
    written = tmp_path / "written"
    config = CommandConfig(
        observe=("true",), notify=(sys.executable, "-c", ARGUMENTS, str(written), "{handle}", "{text}")
    )
    on(config, lambda driver: driver.notify("a", "Save; $(now) {handle} “please”\n"))
    assert json.loads(written.read_text()) == ["a", "Save; $(now) {handle} “please”\n"]


def test_people_who_could_not_be_told_are_an_error() -> None:
    config = CommandConfig(observe=("true",), notify=sh("echo 'nobody home' >&2; exit 1"))
    with pytest.raises(Retryable, match="notify: exit code 1: nobody home"):
        on(config, lambda driver: driver.notify("a", "text"))
    with pytest.raises(Permanent):
        on(CommandConfig(observe=("true",)), lambda driver: driver.notify("a", "text"))


def test_ended_commands_leave_no_zombie_and_no_open_file(tmp_path: Path) -> None:
    log = tmp_path / "pids"
    config = CommandConfig(
        observe=sh('echo $$ >> "$1"; echo power=off', str(log)), stop=sh('echo $$ >> "$1"', str(log))
    )

    async def act(driver: CommandDriver) -> None:
        before = open_files()
        for number in range(10):
            await ended(driver, await driver.submit(request(STOP, number=number)))
        assert open_files() == before

    on(config, act)
    pids = log.read_text().split()
    assert len(pids) >= 20
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_the_service_s_own_loop_does_as_well(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    config = CommandConfig(
        observe=sh("echo power=on"),
        start=sh("true"),
        stop=sh('sleep 600 & echo $! > "$1"; wait', str(pid_file)),
        timeout_seconds=0.5,
    )

    async def act(driver: CommandDriver) -> None:
        assert (await ended(driver, await driver.submit(request(START)))).evidence is Evidence.POWER_SEEN
        assert (await ended(driver, await driver.submit(request(STOP)))).progress is Progress.FAILED
        await until(lambda: not runs(pid_file))

    job: Coroutine[Any, Any, None] = opened(config, act)
    uvloop.run(job)
