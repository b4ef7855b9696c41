"""The wings as processes of their own, on a PostgreSQL and a NATS, as an operator starts them on many machines."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from builders import eventually
from fleetcron.store.vault import new_key
from running import ACCESS_KEY, PASSWORD, PROJECT, SECRET_KEY

START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 20.0

# What is loaded when the process ends is written down, for whoever wants to know what it needed.
PROGRAM = """
import atexit, pathlib, sys
atexit.register(lambda: pathlib.Path(sys.argv[1]).write_text("\\n".join(sys.modules)))
from fleetcron.cli import main
main(sys.argv[2:])
"""


@dataclass(frozen=True, kw_only=True)
class Wing:
    """A running wing: where it answers, and where what it said and what it loaded are."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    loaded: Path

    def health(self, which: str = "ready") -> tuple[int, dict[str, str]]:
        """The status, and what is said of each part."""
        answer = httpx.get(f"{self.url}/health/{which}", trust_env=False)
        return answer.status_code, answer.json()["parts"]

    def is_ready(self) -> bool:
        """Whether it wants work."""
        return self.health()[0] == 200

    def modules(self) -> set[str]:
        """What it had loaded when it ended."""
        return set(self.loaded.read_text().split())


@dataclass(frozen=True, kw_only=True)
class Site:
    """What all wings of one fleet share: the database, the line, and files in one folder."""

    folder: Path
    database: str
    nats: str
    prefix: str

    def write(self, fleet: str, config: str = "") -> None:
        """Write the files that every wing is given."""
        (self.folder / "fleet.toml").write_text(fleet)
        line = f'[nats]\nprefix = "{self.prefix}"\nack_wait_seconds = 1.5\n'
        (self.folder / "config.toml").write_text(config + line)
        keys = self.folder / "secret.keys"
        keys.touch(mode=0o600)
        keys.write_text(new_key() + "\n")

    @contextmanager
    def api(self, *arguments: str) -> Iterator[Wing]:
        """A node of the API."""
        environment = {
            "FLEETCRON_DATABASE": self.database,
            "FLEETCRON_SECRET_KEYS_FILE": str(self.folder / "secret.keys"),
            "FLEETCRON_ADMIN_PASSWORD": PASSWORD,
            "FLEETCRON_ACCESS_KEY": ACCESS_KEY,
            "FLEETCRON_SECRET_KEY": SECRET_KEY,
            "FLEETCRON_PROJECT_ID": PROJECT,
        }
        own = ["--port", "0", "--fleet", str(self.folder / "fleet.toml"), "--drain-seconds", "0.5"]
        with self._wing("api", [*own, *arguments], environment) as wing:
            yield wing

    @contextmanager
    def engine(self, *arguments: str) -> Iterator[Wing]:
        """An engine."""
        environment = {"FLEETCRON_DATABASE": self.database, "FLEETCRON_NATS": self.nats}
        with self._wing("engine", ["--health-port", "0", *arguments], environment) as wing:
            yield wing

    @contextmanager
    def worker(self, *arguments: str) -> Iterator[Wing]:
        """A worker of the default site, whose drivers remember what those of the other workers do."""
        own = [
            "--health-port",
            "0",
            "--fleet",
            str(self.folder / "fleet.toml"),
            "--data-dir",
            str(self.folder / "world"),
        ]
        with self._wing("worker", [*own, *arguments], {"FLEETCRON_NATS": self.nats}) as wing:
            yield wing

    @contextmanager
    def _wing(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Iterator[Wing]:
        number = len(list(self.folder.glob("*.log")))
        log, loaded = self.folder / f"{number}-{name}.log", self.folder / f"{number}-{name}.modules"
        command = [sys.executable, "-c", PROGRAM, str(loaded), name, *arguments]
        command += ["--config", str(self.folder / "config.toml")]
        own = {key: value for key, value in os.environ.items() if not key.startswith("FLEETCRON_")}
        with log.open("wb") as out:
            process = subprocess.Popen(command, env={**own, **environment}, stdout=out, stderr=out)
        try:
            url = eventually(lambda: _address(log) or process.poll() is not None, seconds=START_SECONDS_MAX)
            assert isinstance(url, str), log.read_text()
            yield Wing(url=url, process=process, log=log, loaded=loaded)
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(STOP_SECONDS_MAX)


def _address(log: Path) -> str | None:
    """Where a wing says that it answers."""
    lines = [line.split() for line in log.read_text().splitlines() if line.startswith(("  Address", "The "))]
    return next((words[-1].removesuffix("/health/ready") for words in lines if words[-1].startswith("http")), None)
