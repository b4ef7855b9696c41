"""Get the test peer that no wheel carries, PostgreSQL's server, from Debian; say nothing when it is there already.

The tests start a server of their own in a temporary folder, so nothing but its programs is wanted: none of the
system's services is made, started or changed. They are looked for on PATH and where Debian keeps them. Where they
are missing and there is an apt-get, they are installed, as root or through a ``sudo`` that asks no password.

With ``--found`` nothing is installed: the folder of the programs goes to standard output. What went wrong goes to
standard error, with exit code 1. The standard library is enough.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

POSTGRESQL_VERSION_MIN = 14
# Debian keeps each version's programs in <version>/bin here, and most of them off the PATH.
DEBIAN = Path("/usr/lib/postgresql")
# What a package of PostgreSQL reads before it would make a cluster of the system's and start it.
DROP_INS = Path("/etc/postgresql-common/createcluster.d")

VERSION_SECONDS_MAX = 30
SUDO_SECONDS_MAX = 30
APT_SECONDS_MAX = 900
# Somebody else's apt-get, the nightly one for instance, is waited for.
LOCK_SECONDS_MAX = 120
SAID_CHARACTERS_MAX = 4000

NEEDED = f"PostgreSQL {POSTGRESQL_VERSION_MIN} or newer is needed for the tests"


class PeersError(Exception):
    """A peer cannot be had here; the message says why and what may help."""


def main(arguments: Sequence[str]) -> None:
    """Install what is missing, or print where it is."""
    if list(arguments) not in ([], ["--found"]):
        sys.exit("peers: it takes no argument, or --found")
    try:
        if arguments:
            print(found())
        else:
            install()
    except PeersError as error:
        sys.exit(f"peers: {error}")


def found(debian: Path = DEBIAN) -> Path:
    """The folder of PostgreSQL's server programs: the one on PATH, else the newest of Debian's.

    Raises:
        PeersError: there is none that is new enough.
    """
    on_path = shutil.which("initdb")
    folders = [] if on_path is None else [Path(on_path).resolve().parent]
    folders += sorted(debian.glob("*/bin"), key=lambda folder: _number(folder.parent.name), reverse=True)
    for folder in folders:
        if (folder / "initdb").exists() and version(folder) >= POSTGRESQL_VERSION_MIN:
            return folder
    raise PeersError(f"{NEEDED}: `make test` installs it on Debian, elsewhere put initdb and postgres on PATH")


def version(folder: Path) -> int:
    """The major version of the server whose programs are in ``folder``; 0 if it does not say."""
    try:
        said = subprocess.run(  # noqa: S603  (a program called postgres, beside an initdb)
            [folder / "postgres", "--version"], capture_output=True, text=True, timeout=VERSION_SECONDS_MAX, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return 0
    return _number(said.stdout.partition("PostgreSQL)")[2])


def install(debian: Path = DEBIAN, drop_ins: Path = DROP_INS, *, as_root: bool = os.geteuid() == 0) -> None:
    """Have PostgreSQL's server programs, from the packages of this system if they are not there.

    Raises:
        PeersError: there is no apt-get, or nobody to run it, or it failed, or what it knows is too old.
    """
    try:
        found(debian)
    except PeersError as error:
        apt = shutil.which("apt-get")
        if apt is None:
            raise PeersError(f"{NEEDED}, and there is no apt-get here: put its initdb and postgres on PATH") from error
        if as_root:
            print("peers: installing PostgreSQL with apt-get", file=sys.stderr)
            _install(apt, drop_ins)
        else:
            _again_as_root()
        found(debian)


def _again_as_root() -> None:
    sudo = shutil.which("sudo")
    if sudo is None or not _lets_in(sudo):
        raise PeersError(f"{NEEDED}; as root: apt-get install --no-install-recommends postgresql")
    done = subprocess.run([sudo, "-n", sys.executable, __file__], timeout=2 * APT_SECONDS_MAX, check=False)  # noqa: S603  (this file)
    if done.returncode != 0:
        raise PeersError(f"{NEEDED}, and could not be installed through sudo")


def _lets_in(sudo: str) -> bool:
    """Whether it asks for no password."""
    try:
        asked = subprocess.run([sudo, "-n", "true"], capture_output=True, timeout=SUDO_SECONDS_MAX, check=False)  # noqa: S603  (fixed words)
    except (OSError, subprocess.SubprocessError):
        return False
    return asked.returncode == 0


def _install(apt: str, drop_ins: Path) -> None:
    options = ["-qq", "-o", f"DPkg::Lock::Timeout={LOCK_SECONDS_MAX}"]
    _run([apt, *options, "update"])
    with _no_cluster_of_the_systems(drop_ins):
        _run([apt, *options, "install", "--yes", "--no-install-recommends", "postgresql"])


@contextmanager
def _no_cluster_of_the_systems(drop_ins: Path) -> Iterator[None]:
    """While this holds, installing PostgreSQL makes no cluster and starts none; afterwards all is as it was."""
    saying_so = drop_ins / "fleetcron.conf"
    try:
        drop_ins.mkdir(parents=True, exist_ok=True)
        saying_so.write_text("create_main_cluster = false\n", encoding="utf-8")
    except OSError as error:
        raise PeersError(f"{saying_so} cannot be written: {error}") from error
    try:
        yield
    finally:
        saying_so.unlink(missing_ok=True)


def _run(command: Sequence[str]) -> None:
    # Nobody is there to answer a question about time zones.
    variables = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        subprocess.run(  # noqa: S603  (apt-get, and words of ours)
            command,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=APT_SECONDS_MAX,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        said = error.stdout[-SAID_CHARACTERS_MAX:]
        raise PeersError(f"{' '.join(command)} ended with {error.returncode}: {said}") from error
    except (OSError, subprocess.SubprocessError) as error:
        raise PeersError(f"{' '.join(command)}: {error}") from error


def _number(text: str) -> int:
    """The first number in a text: 15 of ``15``, of `` 15.18 (Debian)`` and of ``15devel``; 0 if there is none."""
    match = re.search(r"\d+", text)
    return int(match[0]) if match else 0


if __name__ == "__main__":
    main(sys.argv[1:])
