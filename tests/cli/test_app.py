"""The command line as a whole: quick to start, and each half free of the other's libraries."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

from fleetcron.cli import main
from fleetcron.cli.app import COMMANDS


def output_of(*arguments: str) -> str:
    return subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True).stdout


def imported(call: str) -> set[str]:
    script = f"import sys\nfrom fleetcron.cli.app import load, main\ntry: {call}\nexcept SystemExit: pass\n"
    return set(output_of("-c", f"{script}print('MODULES', *sys.modules)").rpartition("MODULES")[2].split())


def test_help_lists_every_command() -> None:
    said = output_of("-m", "fleetcron", "--help")
    assert all(f"  {name} " in said and summary in said for name, summary in COMMANDS.items())


def test_help_imports_neither_half() -> None:
    assert imported("main(['--help'])") & {"httpx", "uvicorn", "msgspec", "rich", "fleetcron.assembly"} == set()


def test_serve_imports_nothing_of_the_clients() -> None:
    assert imported("load('serve')") & {"httpx", "rich.progress", "rich.table", "fleetcron.cli.client"} == set()


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in {"serve", "secrets"}])
def test_a_client_imports_nothing_of_the_service(name: str) -> None:
    rooms = {"fleetcron.assembly", "fleetcron.web", "fleetcron.control", "fleetcron.store", "fleetcron.engine"}
    assert imported(f"load('{name}')") & {"uvicorn", "starlette", "argon2", *rooms} == set()


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"fleetcron {version('fleetcron')}\n")


@pytest.mark.parametrize("arguments", [["nope"], ["task", "nope"], ["task", "create"], ["serve", "--port", "x"]])
def test_misuse_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().out == ""
