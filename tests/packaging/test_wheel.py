"""What is published can be installed by whoever has nothing of the checkout, and then runs.

The versions of what it depends on are those of the lock: what came out this morning is not what is tested here.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Final

import httpx
import pytest

from running import START_SECONDS_MAX, STOP_SECONDS_MAX

ROOT: Final = Path(__file__).resolve().parents[2]
SOURCE: Final = ROOT / "src" / "fleetcron"

# A slow network and an empty cache are waited for; a network that is gone is not.
COMMAND_SECONDS_MAX = 240


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """What a command says; where it fails, that it failed and why."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("FLEETCRON_", "UV_PROJECT"))}
    own.pop("VIRTUAL_ENV", None)
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=own,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def uv() -> str:
    """The installer that the checkout is pinned to."""
    return run(sys.executable, ROOT / "scripts" / "bootstrap.py").strip()


@pytest.fixture(scope="module")
def built(uv: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel and the source distribution."""
    folder = tmp_path_factory.mktemp("dist")
    run(uv, "build", "--quiet", "--python", sys.executable, "--out-dir", folder)
    (wheel,) = folder.glob("*.whl")
    (source,) = folder.glob("*.tar.gz")
    return wheel, source


@pytest.fixture(scope="module")
def installed(uv: str, built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a new environment in which pip has installed the wheel.

    uv makes it, because a Debian without python3-venv cannot put pip into one; the rest is pip's work.
    """
    folder = tmp_path_factory.mktemp("installed")
    locked = run(
        uv, "export", "--frozen", "--quiet", "--no-default-groups", "--all-extras", "--no-emit-project", "--no-hashes"
    )
    (folder / "constraints.txt").write_text(locked)
    run(uv, "venv", "--quiet", "--seed", "--python", sys.executable, folder / "venv")
    programs = folder / "venv" / "bin"
    words = ("--quiet", "--no-input", "--disable-pip-version-check", "--constraint", folder / "constraints.txt")
    run(programs / "python", "-m", "pip", "install", *words, built[0])
    return programs


@pytest.fixture
def address(installed: Path, tmp_path: Path) -> Iterator[str]:
    """The service of the installed wheel, started as an operator would, far from the checkout."""
    command = [str(installed / "fleetcron"), "serve", "--port", "0", "--data-dir", str(tmp_path / "data")]
    own = {name: value for name, value in os.environ.items() if not name.startswith(("FLEETCRON_", "PYTHON"))}
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(command, cwd=tmp_path, env=own, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdout is not None
        # It says this once it answers; should it end instead, there are no more lines.
        said = next((line.split() for line in process.stdout if "Address" in line), None)
        assert said is not None, (tmp_path / "log").read_text()
        yield said[1]
        process.terminate()
        assert process.wait(STOP_SECONDS_MAX) == 0


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(name).decode())


def package_files() -> set[str]:
    """Everything of the package that a person wrote, as the archives name it."""
    return {
        path.relative_to(SOURCE.parent).as_posix()
        for path in SOURCE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_the_whole_package_and_nothing_else(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[0]) as archive:
        held = {name for name in archive.namelist() if not name.endswith("/") and ".dist-info/" not in name}
    assert held == package_files()
    # The schema is part of the package: without it nothing starts.
    assert {Path(name).parent.name for name in held if name.endswith(".sql")} == {"sqlite", "postgresql"}


def test_the_source_distribution_holds_the_whole_package_and_the_licence(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[1]) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"src/{name}" for name in package_files()} | {"LICENSE", "README.md", "pyproject.toml"} <= held


def test_the_extra_for_many_machines_asks_for_a_database_and_a_line(built: tuple[Path, Path]) -> None:
    said = metadata(built[0])
    assert "cluster" in said.get_all("Provides-Extra", [])
    asked = {words for words in said.get_all("Requires-Dist", []) if "extra == 'cluster'" in words}
    assert {words.partition(">")[0].strip() for words in asked} == {"nats-py", "psycopg[binary,pool]"}


def test_the_extra_for_many_machines_can_be_had(uv: str, installed: Path, built: tuple[Path, Path]) -> None:
    # Only resolved: that its parts work is what the tests of store and dispatch are for.
    words = ("--dry-run", "--python", installed / "python", f"fleetcron[cluster] @ {built[0].as_uri()}")
    run(uv, "pip", "install", "--quiet", "--constraint", installed.parents[1] / "constraints.txt", *words)


def test_the_installed_service_runs_and_answers(address: str) -> None:
    with httpx.Client(base_url=address, trust_env=False, timeout=START_SECONDS_MAX) as client:
        assert client.get("/health/ready").status_code == 200
        described = client.get("/openapi.json")
    assert described.status_code == 200
    assert "/v1/{project_id}/schedule-task" in described.json()["paths"]


def test_one_machine_needs_nothing_of_many(installed: Path) -> None:
    listed = run(installed / "python", "-m", "pip", "list", "--format", "freeze", "--disable-pip-version-check")
    assert {"psycopg", "nats-py"}.isdisjoint(line.partition("==")[0] for line in listed.splitlines())


def test_the_installed_command_says_the_version_that_is_published(installed: Path, built: tuple[Path, Path]) -> None:
    assert run(installed / "fleetcron", "--version").split() == ["fleetcron", metadata(built[0])["Version"]]
