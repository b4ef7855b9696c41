"""The processes of the chaos test: killed, frozen and started again, each as an operator starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import httpx

from builders import eventually

READY_SECONDS_MAX = 60.0
ANSWER_SECONDS_MAX = 2.0
STOP_SECONDS_MAX = 30.0
LOG_CHARACTERS_MAX = 4000


class Process:
    """One ``fleetcron`` process after another under one name, at one address: what a supervisor looks after."""

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], *, url: str, folder: Path
    ) -> None:
        self.name = name
        self.url = url
        self.pids: list[int] = []
        self.frozen = False
        self._command = [sys.executable, "-m", "fleetcron", *command]
        self._environment = dict(environment)
        self._log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process that runs now."""
        return self.pids[-1]

    def start(self) -> None:
        """Start it, and do not wait for it."""
        assert self._process is None, f"{self.name} runs"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.pids.append(self._process.pid)

    def is_ready(self) -> bool:
        """Whether it says that it is ready."""
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/health/ready", timeout=ANSWER_SECONDS_MAX, trust_env=False).is_success
        return False

    def wait_until_ready(self, seconds: float = READY_SECONDS_MAX) -> None:
        """Wait until it is; fail, with the end of its log, when it ends or takes too long."""

        def is_so() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, f"it ended with {self._process.returncode}"
            return self.is_ready()

        try:
            eventually(is_so, seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{self.name}: {error}: {self.log()[-LOG_CHARACTERS_MAX:]}") from error

    def kill(self) -> None:
        """End it at once, as ``kill -9`` does."""
        assert self._process is not None, f"{self.name} is dead"
        self._process.kill()
        self._process.wait(STOP_SECONDS_MAX)
        self._process = None

    def freeze(self) -> None:
        """Let it do nothing more, its connections open, until it is thawed."""
        assert self._process is not None, f"{self.name} is dead"
        self._process.send_signal(signal.SIGSTOP)
        # Until then one of its threads may still go on.
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        self.frozen = True

    def thaw(self) -> None:
        """Let a frozen one go on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
        self.frozen = False

    def ended_by_itself(self) -> bool:
        """Whether it has ended though nobody told it to."""
        return self._process is not None and self._process.poll() is not None

    def stop(self) -> int | None:
        """End it in good order, and say with which code; None if it is dead. One that does not end is killed."""
        if self._process is None:
            return None
        self.thaw()
        self._process.terminate()
        try:
            return self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()
            return -signal.SIGKILL

    def log(self) -> str:
        """Everything that all of them wrote."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""
