"""What every measurement stands on: a data folder, the service in a process of its own, a load generator, medians."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from fleetcron.assembly.clock import now
from fleetcron.assembly.house import House
from fleetcron.assembly.settings import Settings
from fleetcron.store.database import Database

PROJECT_ID = "0123456789abcdef0123456789abcdef"
PASSWORD = "bench-password"
ACCESS_KEY, SECRET_KEY = "AKBENCH", "SKBENCH"
START_SECONDS_MAX = 30
# The server on one core and the load on another, where there are two.
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = CORES[0], CORES[-1]


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that is gone afterwards, on the disk that temporary files are on."""
    with tempfile.TemporaryDirectory(prefix="fleetcron-bench-") as name:
        yield Path(name)


@contextmanager
def founded(data_dir: Path) -> Iterator[Database]:
    """The database of a new service that is not running: with its account and its project."""
    settings = Settings(
        data_dir=data_dir,
        admin_password=PASSWORD,
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
        project_id=PROJECT_ID,
    )
    service = House(settings, clock=now)
    database = service.database
    try:
        yield database
    finally:
        database.close()


@contextmanager
def serving(data_dir: Path, fleet: Path | None = None, *, pinned: bool = True) -> Iterator[str]:
    """The service in a process; its address. A burst is not pinned: it has the machine to itself."""
    command = [sys.executable, "-m", "fleetcron", "serve", "--port", "0", "--data-dir", str(data_dir)]
    command += ["--sign-in-file", str(data_dir / "sign-in.env"), "--log-level", "warning"]
    if fleet is not None:
        command += ["--fleet", str(fleet)]
    with process(command, pinned=pinned):
        yield _address(data_dir / "sign-in.env")


@contextmanager
def process(
    command: Sequence[str], *, pinned: bool, own: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process for as long as the block lasts; ``own`` are variables of its environment."""
    prefix = ["taskset", "-c", str(SERVER_CORE)] if pinned and len(CORES) > 1 else []
    running = subprocess.Popen([*prefix, *command], stdout=subprocess.DEVNULL, env=os.environ | dict(own or {}))
    try:
        yield running
    finally:
        running.terminate()
        running.wait(timeout=START_SECONDS_MAX)


def answering(url: str) -> str:
    """Wait until something answers at ``url``."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        try:
            httpx.get(url)
        except httpx.HTTPError:
            time.sleep(0.05)
        else:
            return url
    raise SystemExit(f"nothing answers at {url}")


def token(address: str) -> str:
    """The administrator's token for the project."""
    user = {"name": "admin", "password": PASSWORD, "domain": {"name": "default"}}
    identity = {"methods": ["password"], "password": {"user": user}}
    body = {"auth": {"identity": identity, "scope": {"project": {"id": PROJECT_ID}}}}
    return httpx.post(f"{address}/v3/auth/tokens", json=body).raise_for_status().headers["X-Subject-Token"]


def load(url: str, headers: Mapping[str, str], *, seconds: int = 4, connections: int = 32) -> float:
    """Requests a second that wrk gets answered with 200; anything else ends the benchmark."""
    prefix = ["taskset", "-c", str(LOAD_CORE)] if len(CORES) > 1 else []
    command = [*prefix, wrk(), "-t1", f"-c{connections}", f"-d{seconds}"]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    command.append(url)
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise SystemExit(f"errors under load of {url}:\n{said}")
    return next(float(line.split()[1]) for line in said.splitlines() if line.startswith("Requests/sec"))


def wrk() -> str:
    """The load generator; installed from the distribution's packages where that is allowed."""
    found = shutil.which("wrk")
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run(["apt-get", "install", "-y", "-qq", "wrk"], check=True, stdout=subprocess.DEVNULL)
        found = shutil.which("wrk")
    if found is None:
        raise SystemExit("make bench needs wrk: install it with `apt-get install wrk`")
    return found


def spread(figures: Sequence[float], digits: int = 0) -> str:
    """``median (least to most)``."""
    median, least, most = (
        f"{figure:,.{digits}f}" for figure in (statistics.median(figures), min(figures), max(figures))
    )
    return f"{median} ({least} to {most})"


def _address(sign_in: Path) -> str:
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        if sign_in.exists():
            lines = [line for line in sign_in.read_text().splitlines() if "FLEETCRON_URL=" in line]
            if lines:
                return answering(lines[0].partition("FLEETCRON_URL=")[2].strip("'\"") + "/v3").removesuffix("/v3")
        time.sleep(0.05)
    raise SystemExit("the service did not start")
