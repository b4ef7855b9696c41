"""A running service, started from the command line as an operator would, and the command line to ask it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from fleetcron.cli import main

Run = Callable[..., tuple[int, str, str]]
Fire = Callable[..., str]

STOP_SECONDS_MAX = 30

FLEET: Final = """
[[endpoints]]
name = "quick"
driver = "simulated"
settings = { boot_seconds = [0.05, 0.1], stop_seconds = [0.05, 0.1], reinstall_seconds = [0.05, 0.1] }

[[endpoints]]
name = "broken"
driver = "simulated"
settings = { refuse_probability = 1 }

[[endpoints]]
name = "slow"
driver = "simulated"
concurrency_max = 1
settings = { boot_seconds = [3, 3], stop_seconds = [0, 0] }

[[groups]]
id = "lab"
name = "Lab"

[[servers]]
count = 3
id = "quick-{n}"
group = "lab"
endpoint = "quick"

[[servers]]
id = "broken-1"
endpoint = "broken"

[[servers]]
count = 2
id = "slow-{n}"
endpoint = "slow"
"""


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("FLEETCRON_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def sign_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What the sign-in file of a running service says."""
    folder = tmp_path_factory.mktemp("service")
    (folder / "fleet.toml").write_text(FLEET)
    with started(folder):
        yield exports(folder / "sign-in.env")


@pytest.fixture
def run(sign_in: dict[str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """The command line, signed in by access key: gives exit code, standard output and standard error."""
    for name, value in sign_in.items():
        monkeypatch.setenv(name, value)

    def ask(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        printed = capfd.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, printed.out, printed.err

    return ask


@pytest.fixture
def fire(run: Run) -> Fire:
    """Make a task for these servers that fires in a moment; gives its id."""

    def make(*servers: str, deed: str = "restart", in_seconds: int = 2) -> str:
        at = datetime.now(UTC) + timedelta(seconds=in_seconds)
        targets = [part for server in servers for part in ("--server", server)]
        once = ("--once", f"{at:%Y-%m-%d}", "--at", f"{at:%H:%M:%S}", "--zone", "UTC", "--json")
        code, out, err = run("task", "create", "soon", "--type", deed, *targets, *once)
        assert (code, err) == (0, "")
        return str(json.loads(out)["id"])

    return make


@contextmanager
def started(folder: Path, *arguments: str, **settings: str) -> Iterator[str]:
    """Run a service on a free port with everything in this folder; gives what it said once it runs."""
    command = [sys.executable, "-m", "fleetcron", "serve", "--port", "0", "--data-dir", str(folder / "state")]
    command += ["--log-level", "warning", "--sign-in-file", str(folder / "sign-in.env"), *arguments]
    if (folder / "fleet.toml").exists():
        command += ["--fleet", str(folder / "fleet.toml")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FLEETCRON_")}
    with subprocess.Popen(command, env={**environment, **settings}, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = ""
        while not said.endswith("fleetcron server list\n"):
            line = process.stdout.readline()
            assert line, f"the service did not start: {said}"
            said += line
        yield said
        process.terminate()
        assert process.wait(STOP_SECONDS_MAX) == 0


@pytest.fixture
def serving() -> Callable[..., AbstractContextManager[str]]:
    """``started``, for tests that want a service of their own."""
    return started


def exports(file: Path) -> dict[str, str]:
    """What a shell would know after reading the file."""
    words: list[Any] = shlex.split(file.read_text(), comments=True)
    return dict(word.split("=", 1) for word in words if "=" in word)
