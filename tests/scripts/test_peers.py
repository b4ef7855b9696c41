from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "peers.py"


def load() -> ModuleType:
    specification = importlib.util.spec_from_file_location("peers_script", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


peers = load()


def a_program(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return path


def a_postgresql(folder: Path, version: str) -> Path:
    """The folder of a server's programs, as far as they are asked here."""
    a_program(folder / "initdb")
    a_program(folder / "postgres", f"echo 'postgres (PostgreSQL) {version}'")
    return folder


def an_apt(folder: Path, *, installing: Path, version: str = "15.18 (Debian 15.18-0+deb12u1)", code: int = 0) -> Path:
    """An apt-get that notes what it is asked, and whether a cluster would be made, and installs a PostgreSQL."""
    notes = folder / "notes"
    programs = a_postgresql(folder / "package", version)
    return a_program(
        folder / "bin" / "apt-get",
        f'echo "$DEBIAN_FRONTEND" "$@" >> {notes}',
        f"cat {folder}/drop-ins/* >> {notes}",
        '[ "$4" = install ] || exit 0',
        f"mkdir -p {installing} && cp {programs}/* {installing}",
        "echo it said this",
        f"exit {code}",
    )


@pytest.fixture
def nothing_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with what a shell script needs, and with ``bin`` in the folder that is returned."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("cat", "cp", "mkdir", "true"):
        (tools / tool).symlink_to(f"/bin/{tool}")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{tools}")
    return tmp_path


def test_what_is_there_is_found_without_a_word() -> None:
    said = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, timeout=60, check=True)
    assert (said.stdout, said.stderr) == ("", "")
    found = subprocess.run([sys.executable, SCRIPT, "--found"], capture_output=True, text=True, timeout=60, check=True)
    assert os.access(Path(found.stdout.strip()) / "postgres", os.X_OK)


def test_of_debians_the_newest_is_found(nothing_on_path: Path) -> None:
    for version in ("9", "14", "15", "100"):
        a_postgresql(nothing_on_path / version / "bin", f"{version}.1")
    assert peers.found(nothing_on_path) == nothing_on_path / "100" / "bin"


def test_the_one_on_path_goes_first_unless_it_is_too_old(nothing_on_path: Path) -> None:
    debians = a_postgresql(nothing_on_path / "debian" / "15" / "bin", "15.1")
    on_path = a_postgresql(nothing_on_path / "own", "14.9")
    (nothing_on_path / "bin").mkdir()
    (nothing_on_path / "bin" / "initdb").symlink_to(on_path / "initdb")
    assert peers.found(nothing_on_path / "debian") == on_path
    a_postgresql(on_path, "13.9")
    assert peers.found(nothing_on_path / "debian") == debians


@pytest.mark.parametrize("version", ["", "13.20 (Debian 13.20-1)"])
def test_one_that_is_too_old_or_says_nothing_is_none(nothing_on_path: Path, version: str) -> None:
    a_postgresql(nothing_on_path / "15" / "bin", version)
    with pytest.raises(peers.PeersError, match="PostgreSQL 14 or newer"):
        peers.found(nothing_on_path)


def test_what_is_missing_is_installed_once_and_no_cluster_is_made(
    nothing_on_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    installed, drop_ins = nothing_on_path / "debian" / "15" / "bin", nothing_on_path / "drop-ins"
    an_apt(nothing_on_path, installing=installed)
    for _ in range(2):
        peers.install(nothing_on_path / "debian", drop_ins, as_root=True)
    assert peers.found(nothing_on_path / "debian") == installed
    assert (nothing_on_path / "notes").read_text().splitlines() == [
        "noninteractive -qq -o DPkg::Lock::Timeout=120 update",
        "noninteractive -qq -o DPkg::Lock::Timeout=120 install --yes --no-install-recommends postgresql",
        "create_main_cluster = false",
    ]
    assert list(drop_ins.iterdir()) == []
    assert capsys.readouterr().err == "peers: installing PostgreSQL with apt-get\n"


def test_what_the_system_has_may_be_too_old(nothing_on_path: Path) -> None:
    an_apt(nothing_on_path, installing=nothing_on_path / "debian" / "13" / "bin", version="13.20")
    with pytest.raises(peers.PeersError, match="PostgreSQL 14 or newer"):
        peers.install(nothing_on_path / "debian", nothing_on_path / "drop-ins", as_root=True)


def test_an_installation_that_fails_says_why_and_leaves_no_setting_behind(nothing_on_path: Path) -> None:
    drop_ins = nothing_on_path / "drop-ins"
    an_apt(nothing_on_path, installing=nothing_on_path / "debian" / "15" / "bin", code=100)
    with pytest.raises(peers.PeersError, match=r"(?s)install .* ended with 100: .*it said this"):
        peers.install(nothing_on_path / "debian", drop_ins, as_root=True)
    assert list(drop_ins.iterdir()) == []


def test_without_an_apt_get_it_says_what_is_needed(nothing_on_path: Path) -> None:
    with pytest.raises(peers.PeersError, match="no apt-get here"):
        peers.install(nothing_on_path / "debian", nothing_on_path / "drop-ins", as_root=True)


@pytest.mark.parametrize("sudo", [[], ["exit 1"]])
def test_who_may_not_install_is_told_the_command(nothing_on_path: Path, sudo: list[str]) -> None:
    an_apt(nothing_on_path, installing=nothing_on_path / "debian" / "15" / "bin")
    if sudo:
        a_program(nothing_on_path / "bin" / "sudo", *sudo)
    with pytest.raises(peers.PeersError, match="as root: apt-get install --no-install-recommends postgresql"):
        peers.install(nothing_on_path / "debian", nothing_on_path / "drop-ins", as_root=False)
    assert not (nothing_on_path / "notes").exists()


def test_a_sudo_that_asks_no_password_runs_it_as_root(nothing_on_path: Path) -> None:
    an_apt(nothing_on_path, installing=nothing_on_path / "nowhere")
    programs = a_postgresql(nothing_on_path / "package", "15.18")
    installed = nothing_on_path / "debian" / "15" / "bin"
    a_program(
        nothing_on_path / "bin" / "sudo",
        f'echo sudo "$@" >> {nothing_on_path}/notes',
        f'[ "$2" = true ] || {{ mkdir -p {installed} && cp {programs}/* {installed}; }}',
    )
    peers.install(nothing_on_path / "debian", nothing_on_path / "drop-ins", as_root=False)
    assert (nothing_on_path / "notes").read_text().splitlines() == [
        "sudo -n true",
        f"sudo -n {sys.executable} {SCRIPT}",
    ]


def test_an_argument_that_means_nothing_is_refused() -> None:
    said = subprocess.run([sys.executable, SCRIPT, "--help"], capture_output=True, text=True, timeout=60, check=False)
    assert (said.returncode, said.stdout) == (1, "")
    assert said.stderr == "peers: it takes no argument, or --found\n"
