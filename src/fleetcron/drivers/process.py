"""One process of the operator's own: started, watched, cut off when its time is over, or left to run on.

Not asyncio's processes: those are killed when they are dropped, wait for whoever still holds the output
open, and may cost a thread each. Output goes to unnamed files and not through pipes, so that a command that
outlives the service can go on writing, and one that leaves a daemon behind is over when it exits.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import msgspec

from fleetcron.errors import Permanent, Retryable

OUTPUT_READ_BYTES_MAX = 64 * 1024
OUTPUT_KEPT_BYTES_MAX = 16 * 1024 * 1024
KILL_GRACE_SECONDS = 5.0
_PAUSE_SECONDS_MIN = 0.002
_PAUSE_SECONDS_MAX = 0.05
_TRANSIENT = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ETXTBSY, errno.ENOSPC})


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """How a process ended, and the tail of what it said.

    ``exit_code`` is negative for a signal (-15 for SIGTERM), None if its time was over and it was killed.
    """

    exit_code: int | None
    stdout: bytes
    stderr: bytes


class Child:
    """A running process, the leader of a session and a process group of its own.

    Whoever started it must ``release`` it.

    Raises:
        Permanent: it cannot be started: no such file, no permission, an argument that no process can take.
        Retryable: it cannot be started now, because this machine is out of something.
    """

    def __init__(self, argv: Sequence[str], *, environment: Mapping[str, str], directory: Path | None) -> None:
        with contextlib.ExitStack() as files:
            try:
                self._stdout = files.enter_context(_output())
                self._stderr = files.enter_context(_output())
                self._process = subprocess.Popen(  # noqa: S603 - the operator's own words, argument by argument
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=self._stdout,
                    stderr=self._stderr,
                    cwd=directory,
                    env={**os.environ, **environment},
                    start_new_session=True,
                )
            except OSError as error:
                reason = f"{error.filename or argv[0]} cannot be started: {error.strerror}"
                raise Retryable(reason) if error.errno in _TRANSIENT else Permanent(reason) from error
            except ValueError as error:
                raise Permanent(f"{argv[0]} cannot be started: {error}") from error
            self._files = files.pop_all()

    async def finish(self, timeout_seconds: float) -> Finished:
        """Wait for its exit; when the time is over, kill its whole group. A cancelled wait leaves it running."""
        exit_code = await self._exit(timeout_seconds)
        if exit_code is None:
            await self.kill()
        return Finished(exit_code=exit_code, stdout=_tail(self._stdout), stderr=_tail(self._stderr))

    async def kill(self) -> None:
        """Kill its whole group, unless it has ended by itself."""
        if self._process.poll() is None:
            # Not yet reaped, so its id, which is the group's, cannot have gone to another process.
            # A command that has become another user (sudo) may be out of our reach; then it runs on.
            with contextlib.suppress(PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._exit(KILL_GRACE_SECONDS)

    def release(self) -> None:
        """Let go of it; if it still runs, it runs on without us. May be called again."""
        self._files.close()
        if self._process.poll() is None:
            # Popen would warn that it was dropped while its process runs, which is what is meant here.
            self._process.returncode = 0

    async def _exit(self, timeout_seconds: float) -> int | None:
        loop = asyncio.get_running_loop()
        wait_until = loop.time() + timeout_seconds
        pause_seconds = _PAUSE_SECONDS_MIN
        while (exit_code := self._process.poll()) is None and loop.time() < wait_until:
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(pause_seconds * 1.5, _PAUSE_SECONDS_MAX)
            _bound(self._stdout)
            _bound(self._stderr)
        return exit_code


def _output() -> IO[bytes]:
    # Appending is what lets the file be emptied under the writer's hands: it goes on at the new end.
    output = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - lives as long as the child
    fcntl.fcntl(output, fcntl.F_SETFL, fcntl.fcntl(output, fcntl.F_GETFL) | os.O_APPEND)
    return output


def _bound(output: IO[bytes]) -> None:
    if os.fstat(output.fileno()).st_size > OUTPUT_KEPT_BYTES_MAX:
        # The last words are put back, because they may have been the very last. What is written just between
        # the two calls is lost: a few words of millions.
        last_words = _tail(output)
        os.ftruncate(output.fileno(), 0)
        os.write(output.fileno(), last_words)


def _tail(output: IO[bytes]) -> bytes:
    size = os.fstat(output.fileno()).st_size
    return os.pread(output.fileno(), OUTPUT_READ_BYTES_MAX, max(0, size - OUTPUT_READ_BYTES_MAX))
