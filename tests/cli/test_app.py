"""The command line as a whole: quick to start, and each half free of the other's libraries."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from fleetcron.cli import main
from fleetcron.cli.app import COMMANDS

# What runs something, or works on the files of what is stopped; all others ask over the API.
PROCESSES = {"serve", "api", "engine", "worker", "secrets", "migrate", "import"}


def output_of(*arguments: str) -> str:
    return subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True).stdout


def imported(call: str) -> set[str]:
    script = f"import sys\nfrom fleetcron.cli.app import load, main\ntry: {call}\nexcept SystemExit: pass\n"
    return set(output_of("-c", f"{script}print('MODULES', *sys.modules)").rpartition("MODULES")[2].split())


def test_help_lists_every_command() -> None:
    said = output_of("-m", "fleetcron", "--help")
    assert all(f"  {name} " in said and summary in said for name, summary in COMMANDS.items())


def test_the_page_of_the_command_line_lists_every_command() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^fleetcron ([a-z]+) {2,}", page, re.MULTILINE)) == sorted(COMMANDS)


def test_help_imports_neither_half() -> None:
    assert imported("main(['--help'])") & {"httpx", "uvicorn", "msgspec", "rich", "fleetcron.assembly"} == set()


def test_serve_imports_nothing_of_the_clients() -> None:
    assert imported("load('serve')") & {"httpx", "rich.progress", "rich.table", "fleetcron.cli.client"} == set()


def test_a_worker_imports_no_database() -> None:
    loaded = imported("load('worker')")
    assert "fleetcron.assembly.worker" in loaded
    assert loaded & {"sqlite3", "psycopg", "fleetcron.store", "fleetcron.control", "fleetcron.engine"} == set()


def test_what_only_many_machines_need_is_imported_only_where_it_is_used() -> None:
    for name in ("serve", "api", "engine", "worker"):
        assert imported(f"load('{name}')") & {"psycopg", "psycopg_pool", "nats"} == set()


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in PROCESSES])
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
