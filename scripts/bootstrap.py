"""Get the installer that this checkout is pinned to, and print the path of its program.

A Debian 12 with only ``python3`` has neither pip nor ensurepip, so ``python3 -m venv`` cannot make an environment
there. uv can, and it is one static binary; so this script, with the standard library alone, fetches exactly the uv
that ``uv.lock`` names (address and SHA-256 are read from there; no host is written here) and unpacks it to
``.tools/uv-<version>/uv``. It does nothing when that is there already, or when a uv of the same version is on PATH.

Proxies and certificates are taken from the environment as ``urllib`` does (HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE).
Nothing is left behind by a failure: the program gets its name by a rename, after its checksum was found right.
The path alone goes to standard output; what went wrong goes to standard error, with exit code 1.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

try:
    import tomllib
except ModuleNotFoundError:
    sys.exit(f"bootstrap: Python 3.11 or newer is needed, this is {platform.python_version()}")

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = "uv"
TIMEOUT_SECONDS = 60
SIZE_BYTES_MAX = 200 * 1024 * 1024
# Every musl that still runs is at least this; it does not say its own version without running its loader.
MUSL_VERSION = (1, 1)

Lock = Mapping[str, Any]
Version = tuple[int, int]


class BootstrapError(Exception):
    """The installer cannot be had here; the message says why and what may help."""


def main() -> None:
    """Print the path of the pinned installer, fetching it first if need be."""
    try:
        print(installer(ROOT))
    except BootstrapError as error:
        sys.exit(f"bootstrap: {error}")


def installer(root: Path) -> Path:
    """The pinned installer's program.

    Raises:
        BootstrapError: the lock names none, none fits this platform, or it cannot be fetched or kept.
    """
    package = pinned(root / "uv.lock")
    version = package["version"]
    kept = root / ".tools" / f"{PROGRAM}-{version}" / PROGRAM
    if os.access(kept, os.X_OK):
        return kept
    found = on_path(version, avoiding=root)
    if found is not None:
        return found
    wheel = fitting(package["wheels"], *this_platform())
    print(f"bootstrap: fetching {PROGRAM} {version}", file=sys.stderr)
    unpack(verified(fetch(wheel["url"]), wheel), kept)
    return kept


def pinned(lock: Path) -> Lock:
    """What the lock says about the installer.

    Raises:
        BootstrapError: there is no lock, or it names no installer.
    """
    try:
        packages = tomllib.loads(lock.read_text(encoding="utf-8"))["package"]
    except (OSError, KeyError, tomllib.TOMLDecodeError) as error:
        raise BootstrapError(f"{lock} cannot be read: {error}") from error
    for package in packages:
        if package["name"] == PROGRAM:
            named: Lock = package
            return named
    raise BootstrapError(f"{lock} does not name {PROGRAM}: is the dependency group `bootstrap` gone?")


def on_path(version: str, *, avoiding: Path) -> Path | None:
    """A program of this version on PATH, None if there is none.

    One inside the checkout does not count: it belongs to an environment that the installer itself may rewrite.
    """
    found = shutil.which(PROGRAM)
    if found is None or Path(found).absolute().is_relative_to(avoiding):
        return None
    try:
        said = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return Path(found) if said.stdout.split()[1:2] == [version] else None


def this_platform() -> tuple[str, str, Version]:
    """The family of platform tags that this machine runs, its architecture, and how new it is.

    Raises:
        BootstrapError: neither Linux nor macOS.
    """
    machine = platform.machine()
    if sys.platform == "darwin":
        return "macosx", machine, _version(platform.mac_ver()[0])
    if sys.platform != "linux":
        raise BootstrapError(f"{sys.platform} is not supported; Linux and macOS are")
    name, version = platform.libc_ver()
    return ("manylinux", machine, _version(version)) if name == "glibc" else ("musllinux", machine, MUSL_VERSION)


def fitting(wheels: Sequence[Lock], family: str, machine: str, newest: Version) -> Lock:
    """The wheel that runs here: of those whose platform is not newer than this one, the newest.

    Raises:
        BootstrapError: there is none.
    """
    tag = re.compile(rf"{family}_(\d+)_(\d+)_{re.escape(machine)}")
    fits: list[tuple[Version, Lock]] = []
    for wheel in wheels:
        tags = wheel["url"].removesuffix(".whl").rpartition("-")[2].split(".")
        asked = [(int(match[1]), int(match[2])) for text in tags if (match := tag.fullmatch(text))]
        fits += [(version, wheel) for version in asked if version <= newest]
    if not fits:
        what = f"{family} {newest[0]}.{newest[1]} on {machine}"
        raise BootstrapError(f"no {PROGRAM} is published for {what}; put this version on PATH by other means")
    return max(fits, key=lambda fit: fit[0])[1]


def fetch(url: str) -> bytes:
    """What stands at an address; no more than ``SIZE_BYTES_MAX`` of it is read.

    Raises:
        BootstrapError: it is no https address, or does not answer.
    """
    if not url.startswith("https://"):
        raise BootstrapError(f"{url} is not an https address")
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310  (https, as checked)
            content: bytes = answer.read(SIZE_BYTES_MAX)
    except (OSError, http.client.HTTPException) as error:
        raise BootstrapError(f"{url} cannot be fetched: {error}. Is the network (or HTTPS_PROXY) there?") from error
    return content


def verified(content: bytes, wheel: Lock) -> bytes:
    """The same bytes, if they are the ones that the lock promises.

    Raises:
        BootstrapError: they are not.
    """
    received = f"sha256:{hashlib.sha256(content).hexdigest()}"
    if received != wheel["hash"]:
        raise BootstrapError(f"{wheel['url']} is not what uv.lock promises: {received} instead of {wheel['hash']}")
    return content


def unpack(content: bytes, program: Path) -> None:
    """Put the wheel's program at ``program``, whole or not at all.

    Raises:
        BootstrapError: the wheel holds no program, or it cannot be written.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as wheel:
            (member,) = [name for name in wheel.namelist() if name.endswith(f".data/scripts/{PROGRAM}")]
            binary = wheel.read(member)
    except (ValueError, zipfile.BadZipFile) as error:
        raise BootstrapError(f"the wheel of {PROGRAM} holds no program: {error}") from error
    try:
        program.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=program.parent.parent, prefix=".unpacking-") as folder:
            fresh = Path(folder) / PROGRAM
            fresh.write_bytes(binary)
            fresh.chmod(0o755)
            fresh.replace(program)
    except OSError as error:
        raise BootstrapError(f"{program} cannot be written: {error}") from error


def _version(text: str) -> Version:
    """The first two numbers of a version: ``2.36`` and ``14.7.1`` alike."""
    first, second, *_ = (*(int(number) for number in re.findall(r"\d+", text)), 0, 0)
    return first, second


if __name__ == "__main__":
    main()
