"""The service as a process of its own, as an operator starts it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from builders import eventually

START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 20.0

PROJECT = "0123456789abcdef0123456789abcdef"
ACCESS_KEY = "AKJOURNEYS"
SECRET_KEY = "SKJOURNEYS"
PASSWORD = "a password for journeys"

# Every operation succeeds at once, so that nothing here waits for a simulated boot.
FLEET = """
[[endpoints]]
name = "lab"
driver = "simulated"
settings = {boot_seconds = [0, 0], stop_seconds = [0, 0], reinstall_seconds = [0, 0]}
[[groups]]
id = "lab"
name = "Lab"
[[servers]]
count = 3
id = "lab-{n}"
name = "Lab {n}"
group = "lab"
endpoint = "lab"
"""


@dataclass(frozen=True, kw_only=True)
class Running:
    """Where the service is, and how to sign in."""

    url: str
    project_id: str
    access_key: str
    secret_key: str
    password: str
    process: subprocess.Popen[bytes]

    @property
    def project_url(self) -> str:
        """Where the operations of the project are."""
        return f"{self.url}/v1/{self.project_id}"

    def token(self) -> str:
        """A token of the administrator's, for the project."""
        user = {"name": "admin", "password": self.password, "domain": {"name": "default"}}
        auth = {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": {"id": self.project_id}},
        }
        answer = httpx.post(f"{self.url}/v3/auth/tokens", json={"auth": auth}, trust_env=False)
        return str(answer.raise_for_status().headers["X-Subject-Token"])


@contextmanager
def running(
    folder: Path, *, fleet: str = FLEET, environment: dict[str, str] | None = None, arguments: Sequence[str] = ()
) -> Iterator[Running]:
    """Start ``fleetcron serve`` on a free port, with everything that it writes in ``folder``, and end it again.

    ``environment`` may say other things than the usual keys, password and project id, and ``arguments`` more.
    """
    (folder / "fleet.toml").write_text(fleet)
    sign_in_file = folder / "sign-in.env"
    own = {name: value for name, value in os.environ.items() if not name.startswith("FLEETCRON_")}
    usual = {
        "FLEETCRON_ADMIN_PASSWORD": PASSWORD,
        "FLEETCRON_ACCESS_KEY": ACCESS_KEY,
        "FLEETCRON_SECRET_KEY": SECRET_KEY,
        "FLEETCRON_PROJECT_ID": PROJECT,
    }
    command = [sys.executable, "-m", "fleetcron", "serve", "--port", "0", "--data-dir", str(folder / "data")]
    command += ["--fleet", str(folder / "fleet.toml"), "--sign-in-file", str(sign_in_file), *arguments]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=own | usual | (environment or {}), stdout=log, stderr=log)
    try:
        eventually(lambda: sign_in_file.exists() or process.poll() is not None, seconds=START_SECONDS_MAX)
        assert sign_in_file.exists(), (folder / "log").read_text()
        yield _read(sign_in_file, process)
    finally:
        process.terminate()
        process.wait(STOP_SECONDS_MAX)


def _read(sign_in_file: Path, process: subprocess.Popen[bytes]) -> Running:
    words = shlex.split(sign_in_file.read_text(), comments=True)
    said = {name: value for name, _, value in (word.partition("=") for word in words if "=" in word)}
    return Running(
        url=said["FLEETCRON_URL"],
        project_id=said["FLEETCRON_PROJECT_ID"],
        access_key=said["FLEETCRON_ACCESS_KEY"],
        secret_key=said["FLEETCRON_SECRET_KEY"],
        password=said["FLEETCRON_ADMIN_PASSWORD"],
        process=process,
    )
