from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from fleetcron.drivers.process import OUTPUT_KEPT_BYTES_MAX, OUTPUT_READ_BYTES_MAX, Child, Finished
from fleetcron.errors import Permanent

WAIT_SECONDS_MAX = 30
_T = TypeVar("_T")


def on(script: str, act: Callable[[Child], Awaitable[_T]], **environment: str) -> _T:
    async def run() -> _T:
        child = Child(("/bin/sh", "-c", script), environment=environment, directory=None)
        try:
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                return await act(child)
        finally:
            await child.kill()
            child.release()

    return asyncio.run(run())


def finish(child: Child) -> Awaitable[Finished]:
    return child.finish(WAIT_SECONDS_MAX)


@pytest.mark.parametrize(("script", "exit_code"), [("exit 0", 0), ("exit 9", 9), ("kill -TERM $$", -15)])
def test_an_exit_is_told_as_it_was(script: str, exit_code: int) -> None:
    assert on(script, finish).exit_code == exit_code


def test_the_two_outputs_are_kept_apart() -> None:
    assert on("echo out; echo err >&2", finish) == Finished(exit_code=0, stdout=b"out\n", stderr=b"err\n")


def test_only_the_end_of_much_output_is_read() -> None:
    finished = on("head -c 10000000 /dev/zero; echo end", finish)
    assert len(finished.stdout) == OUTPUT_READ_BYTES_MAX
    assert finished.stdout.endswith(b"\0end\n")


def test_endless_output_does_not_fill_the_disk() -> None:
    async def act(child: Child) -> None:
        finishing = asyncio.create_task(child.finish(WAIT_SECONDS_MAX))
        sizes = [0]
        # Bounded by ``on``: until the file was seen to shrink, which it only does when it was emptied.
        while sizes[-1] >= max(sizes) - OUTPUT_KEPT_BYTES_MAX // 2:
            await asyncio.sleep(0.001)
            sizes.append(os.fstat(child._stdout.fileno()).st_size)
        finishing.cancel()
        await asyncio.gather(finishing, return_exceptions=True)

    on("while :; do head -c 4000000 /dev/zero; sleep 0.01; done", act)


def test_when_its_time_is_over_it_is_killed_even_if_it_will_not_listen() -> None:
    finished = on("trap '' TERM INT HUP; while :; do sleep 0.05; done", lambda child: child.finish(0.2))
    assert finished.exit_code is None


def test_a_wait_that_is_given_up_leaves_it_running(tmp_path: Path) -> None:
    async def act(child: Child) -> Finished:
        waiting = asyncio.create_task(child.finish(WAIT_SECONDS_MAX))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        (tmp_path / "go").touch()
        return await child.finish(WAIT_SECONDS_MAX)

    script = 'while [ ! -e "$GO" ]; do sleep 0.01; done; echo went'
    assert on(script, act, GO=str(tmp_path / "go")).stdout == b"went\n"


def test_it_leads_a_session_of_its_own() -> None:
    finished = on("cat /proc/$$/stat; echo $$", finish)
    fields, pid = finished.stdout.decode().split("\n")[:2]
    group, session = fields.rpartition(")")[2].split()[2:4]
    assert group == session == pid


def test_releasing_twice_is_as_good_as_once() -> None:
    async def act(child: Child) -> None:
        await finish(child)
        child.release()

    on("true", act)


@pytest.mark.parametrize("argv", [("",), ("/no/such/program",), ("/etc/passwd",), ("/bin/echo", "x" * 10_000_000)])
def test_what_cannot_be_started_is_permanent(argv: tuple[str, ...]) -> None:
    with pytest.raises(Permanent, match="cannot be started"):
        Child(argv, environment={}, directory=None)
