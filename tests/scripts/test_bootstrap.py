from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "bootstrap.py"


def load() -> ModuleType:
    specification = importlib.util.spec_from_file_location("bootstrap", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


bootstrap = load()


def a_wheel(member: str = "uv-1.2.3.data/scripts/uv") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as wheel:
        wheel.writestr(member, "#!/bin/sh\necho uv 1.2.3\n")
    return file.getvalue()


def a_checkout(folder: Path, content: bytes) -> Path:
    """A checkout whose lock names one wheel, fit for every machine that tests run on, at a port where nobody is."""
    tags = "manylinux_2_5_x86_64.manylinux_2_5_aarch64.musllinux_1_1_x86_64.musllinux_1_1_aarch64"
    url = f"https://127.0.0.1:9/uv-1.2.3-py3-none-{tags}.macosx_10_12_x86_64.macosx_11_0_arm64.whl"
    wheel = f'{{ url = "{url}", hash = "sha256:{hashlib.sha256(content).hexdigest()}" }}'
    (folder / "uv.lock").write_text(f'[[package]]\nname = "uv"\nversion = "1.2.3"\nwheels = [{wheel}]\n')
    (folder / "scripts").mkdir()
    (folder / "scripts" / "bootstrap.py").write_bytes(SCRIPT.read_bytes())
    return folder


def run(checkout: Path, path: str = os.defpath) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(checkout / "scripts" / "bootstrap.py")]
    return subprocess.run(command, env={"PATH": path}, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("family", "machine", "newest", "tag"),
    [
        ("manylinux", "x86_64", (2, 36), "manylinux_2_17_x86_64.manylinux2014_x86_64"),
        ("manylinux", "aarch64", (2, 36), "manylinux_2_28_aarch64"),
        ("manylinux", "aarch64", (2, 17), "musllinux_1_1_aarch64"),
        ("musllinux", "x86_64", (1, 1), "musllinux_1_1_x86_64"),
        ("macosx", "arm64", (14, 7), "macosx_11_0_arm64"),
    ],
)
def test_each_platform_gets_the_newest_wheel_that_runs_there(
    family: str, machine: str, newest: tuple[int, int], tag: str
) -> None:
    wheels = bootstrap.pinned(ROOT / "uv.lock")["wheels"]
    assert bootstrap.fitting(wheels, family, machine, newest)["url"].endswith(f"{tag}.whl")


@pytest.mark.parametrize(("machine", "newest"), [("x86_64", (2, 5)), ("m68k", (2, 36))])
def test_a_platform_without_a_wheel_is_named(machine: str, newest: tuple[int, int]) -> None:
    wheels = bootstrap.pinned(ROOT / "uv.lock")["wheels"]
    with pytest.raises(bootstrap.BootstrapError, match=machine):
        bootstrap.fitting(wheels, "manylinux", machine, newest)


def test_a_wheel_that_the_lock_does_not_promise_is_refused() -> None:
    promised = {"url": "https://127.0.0.1/uv.whl", "hash": f"sha256:{hashlib.sha256(a_wheel()).hexdigest()}"}
    assert bootstrap.verified(a_wheel(), promised) == a_wheel()
    with pytest.raises(bootstrap.BootstrapError, match="promises"):
        bootstrap.verified(a_wheel() + b"\0", promised)


def test_the_program_is_unpacked_alone_and_can_run(tmp_path: Path) -> None:
    program = tmp_path / ".tools" / "uv-1.2.3" / "uv"
    bootstrap.unpack(a_wheel(), program)
    assert subprocess.run([program], capture_output=True, text=True, check=True).stdout == "uv 1.2.3\n"
    assert sorted((tmp_path / ".tools").rglob("*")) == [program.parent, program]


@pytest.mark.parametrize("content", [b"no wheel", a_wheel("uv-1.2.3.data/scripts/other")])
def test_a_wheel_without_the_program_leaves_nothing_behind(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(bootstrap.BootstrapError):
        bootstrap.unpack(content, tmp_path / ".tools" / "uv-1.2.3" / "uv")
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_already_is_used_without_a_network(tmp_path: Path) -> None:
    checkout = a_checkout(tmp_path, a_wheel())
    bootstrap.unpack(a_wheel(), checkout / ".tools" / "uv-1.2.3" / "uv")
    assert run(checkout).stdout == f"{checkout}/.tools/uv-1.2.3/uv\n"


@pytest.mark.parametrize(("version", "used"), [("1.2.3", True), ("1.2.4", False)])
def test_one_of_the_same_version_on_the_path_is_used(tmp_path: Path, version: str, *, used: bool) -> None:
    found = tmp_path / "bin" / "uv"
    found.parent.mkdir()
    found.write_text(f"#!/bin/sh\necho uv {version}\n")
    found.chmod(0o755)
    (tmp_path / "checkout").mkdir()
    said = run(a_checkout(tmp_path / "checkout", a_wheel()), path=f"{found.parent}:{os.defpath}")
    assert (said.stdout == f"{found}\n") is used


def test_without_a_network_it_says_so_and_leaves_nothing_behind(tmp_path: Path) -> None:
    checkout = a_checkout(tmp_path, a_wheel())
    said = run(checkout)
    assert said.returncode == 1
    assert said.stdout == ""
    assert "cannot be fetched" in said.stderr
    assert "Traceback" not in said.stderr
    assert not (checkout / ".tools").exists()


def test_a_lock_without_the_installer_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").write_text('[[package]]\nname = "other"\n')
    with pytest.raises(bootstrap.BootstrapError, match="bootstrap"):
        bootstrap.pinned(tmp_path / "uv.lock")
