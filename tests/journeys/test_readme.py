"""What the README says to paste works as pasted."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from builders import eventually

ROOT = Path(__file__).resolve().parent.parent.parent
# The block waits for a task that is due in the next minute.
BLOCK_SECONDS_MAX = 150
START_SECONDS_MAX = 30


def quickstart() -> str:
    """The shell lines between the README's two markers."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    marked = re.search(r"<!-- quickstart -->(.*?)<!-- /?quickstart -->", readme, re.DOTALL)
    assert marked, "README.md has no block between <!-- quickstart --> markers"
    blocks: list[str] = re.findall(r"^```\w*\n(.*?)^```$", marked[1], re.DOTALL | re.MULTILINE)
    return "\n".join(blocks)


def make_run() -> str:
    """The line with which ``make run`` starts the service."""
    (line,) = re.findall(r"^\t\$\(RUN\)(fleetcron serve .*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return f"exec {Path(sys.executable).parent}/{line}".replace("$$", "$")


def said(output: str) -> list[Any]:
    """Every JSON object in what was printed."""
    found, at, decoder = [], output.find("{"), json.JSONDecoder()
    while at >= 0:
        try:
            value, end = decoder.raw_decode(output, at)
            found.append(value)
        except json.JSONDecodeError:
            end = at + 1
        at = output.find("{", end)
    return found


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """A folder in which the service runs as ``make run`` starts it in a checkout, but on any free port."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    own = {name: value for name, value in os.environ.items() if not name.startswith("FLEETCRON_")}
    environment = own | {"FLEETCRON_DATA_DIR": ".fleetcron", "FLEETCRON_PORT": "0"}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(["sh", "-c", make_run()], cwd=tmp_path, env=environment, stdout=log, stderr=log)
    try:
        sign_in_file = tmp_path / ".fleetcron" / "sign-in.env"
        eventually(lambda: sign_in_file.exists() or process.poll() is not None, seconds=START_SECONDS_MAX)
        assert sign_in_file.exists(), (tmp_path / "log").read_text()
        yield tmp_path
    finally:
        process.terminate()
        process.wait(START_SECONDS_MAX)


def test_the_quick_start_shows_a_finished_execution(checkout: Path) -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith("FLEETCRON_")}
    done = subprocess.run(
        ["bash", "-c", quickstart()],
        cwd=checkout,
        env=own | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=BLOCK_SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    history = [one for one in said(done.stdout) if "count" in one and one.get("items")][-1]
    assert history["count"] == 1
    (execution,) = history["items"]
    assert execution["status"] == "SUCCESS"
    assert (execution["total_count"], execution["success_count"]) == (12, 12)
    assert (execution["failed_count"], execution["excuting_count"]) == (0, 0)
    assert execution["begin_time"] <= execution["end_time"]
