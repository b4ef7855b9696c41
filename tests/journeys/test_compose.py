"""What deploy/compose starts works together: its very commands, users, fleet and settings, without the containers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]  # it publishes no types, and is here for the peers that read YAML

from builders import eventually
from fleetcron.store.vault import new_key
from peers.nats import Nats, nats_peer
from wings import START_SECONDS_MAX, STOP_SECONDS_MAX

FOLDER: Final = Path(__file__).resolve().parents[2] / "deploy" / "compose"
SERVICES: Final[dict[str, Any]] = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))["services"]

# Letters and digits, as the example of an environment asks for; one begins like a number.
SECRETS: Final = {
    "POSTGRES_PASSWORD": "the fixture has its own",
    "NATS_ENGINE_PASSWORD": "1e5secret",
    "NATS_BERLIN_PASSWORD": "secretofberlin",
    "NATS_SHANGHAI_PASSWORD": "secretofshanghai",
    "FLEETCRON_ADMIN_PASSWORD": "a password for compose",
}


def filled_in(text: str) -> str:
    """The text with the secrets that Compose puts into it."""
    return re.sub(r"\$\{(\w+):\?[^}]*\}", lambda found: SECRETS[found[1]], text)


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nats]:
    """A NATS with the users and permissions that Compose gives it."""
    for name, value in SERVICES["nats"]["environment"].items():
        monkeypatch.setenv(name, filled_in(value))
    (tmp_path / "nats").mkdir()
    with nats_peer(tmp_path / "nats", config=(FOLDER / "users.conf").read_text(encoding="utf-8")) as nats:
        yield nats


class Machine:
    """One machine, on which what Compose would start in containers is a process each."""

    def __init__(self, folder: Path, *, database: str, nats: Nats) -> None:
        self._folder = folder
        self._addresses = {"FLEETCRON_DATABASE": database}
        self._nats = nats
        keys = folder / "secret.keys"
        keys.touch(mode=0o600)
        keys.write_text(f"{new_key()}\n")

    def start(self, stack: ExitStack, name: str) -> subprocess.Popen[bytes]:
        """Start a service until the stack is closed."""
        words = [word.replace("/etc/fleetcron", str(FOLDER)) for word in SERVICES[name]["command"]]
        if "--health-port" in words:
            # Others may listen there on the machine of a test.
            words[words.index("--health-port") + 1] = "0"
        log = stack.enter_context((self._folder / f"{name}.log").open("wb"))
        command = [sys.executable, "-m", "fleetcron", *words]
        process = subprocess.Popen(command, env=self._environment(name), stdout=log, stderr=log)
        stack.callback(self._end, process)
        return process

    def said(self, name: str) -> str:
        """What a service has said."""
        return (self._folder / f"{name}.log").read_text()

    def address(self, name: str) -> str:
        """Where the API says that it answers, nothing before it does."""
        found = re.search(r"^  Address +(\S+)$", self.said(name), re.MULTILINE)
        return "" if found is None else found[1]

    def _environment(self, name: str) -> Mapping[str, str]:
        said = {key: filled_in(value) for key, value in SERVICES[name]["environment"].items()}
        said |= {key: value for key, value in self._addresses.items() if key in said}
        here = {"FLEETCRON_HOST": "127.0.0.1", "FLEETCRON_PORT": "0"}
        here |= {"FLEETCRON_SECRET_KEYS_FILE": str(self._folder / "secret.keys")}
        if "FLEETCRON_NATS" in said:
            here["FLEETCRON_NATS"] = said["FLEETCRON_NATS"].replace("nats:4222", f"127.0.0.1:{self._nats.node(0).port}")
        own = {key: value for key, value in os.environ.items() if not key.startswith(("FLEETCRON_", "NATS_"))}
        # The image says where a worker's state is.
        state = {"FLEETCRON_DATA_DIR": str(self._folder / name)} if name.startswith("worker") else {}
        return own | said | {key: value for key, value in here.items() if key in said} | state

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        process.wait(STOP_SECONDS_MAX)


def ask(address: str, *words: str) -> Any:  # noqa: ANN401  (JSON)
    own = {key: value for key, value in os.environ.items() if not key.startswith("FLEETCRON_")}
    signed_in = {"FLEETCRON_URL": address, "FLEETCRON_ADMIN_PASSWORD": SECRETS["FLEETCRON_ADMIN_PASSWORD"]}
    command = [sys.executable, "-m", "fleetcron", *words, "--json"]
    done = subprocess.run(command, env=own | signed_in, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_task_for_both_sites_is_carried_out_by_both(tmp_path: Path, postgresql_url: str, line: Nats) -> None:
    machine = Machine(tmp_path, database=postgresql_url, nats=line)
    with ExitStack() as stack:
        assert machine.start(stack, "migrate").wait(START_SECONDS_MAX) == 0, machine.said("migrate")
        for name in ("api", "engine", "worker-berlin", "worker-shanghai"):
            machine.start(stack, name)
        address = eventually(lambda: machine.address("api"), seconds=START_SECONDS_MAX)
        at = datetime.now(UTC) + timedelta(seconds=3)
        when = ("--once", f"{at:%Y-%m-%d}", "--at", f"{at:%H:%M:%S}", "--zone", "UTC")
        task_id = ask(address, "task", "create", "both", "--type", "restart", "--group", "lab", *when)["id"]

        def ended() -> Any:  # noqa: ANN401  (JSON)
            items = ask(address, "history", "list", task_id)["items"]
            return items[0] if items and items[0]["status"] in {"SUCCESS", "FAILED"} else None

        execution = eventually(ended, seconds=60)
    assert (execution["status"], execution["total_count"], execution["success_count"]) == ("SUCCESS", 12, 12)
    said = "".join(machine.said(name) for name in ("engine", "worker-berlin", "worker-shanghai"))
    assert "permission" not in said.lower(), "somebody tried what the users of NATS may not do"
