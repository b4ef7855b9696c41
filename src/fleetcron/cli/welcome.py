"""What ``fleetcron serve`` tells whoever started it: on the screen, and in a file for a shell to read."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fleetcron.assembly.api import Welcome
from fleetcron.errors import BadSettings

SECRETS: Final = ("FLEETCRON_ADMIN_PASSWORD", "FLEETCRON_ACCESS_KEY", "FLEETCRON_SECRET_KEY")


def welcome_text(welcome: Welcome, sign_in_file: Path | None, *, program: str = "fleetcron") -> str:
    """Where the service is, how to sign in, where the data lies, and what to try first.

    A secret is in it only where this start has made it. ``program`` is what a shell calls the command line by.

    Raises:
        OSError, BadSettings: as in ``kept_secrets``, of the sign-in file.
    """
    headings = {"admin_password": "Password", "access_key": "Access key", "secret_key": "Secret key"}
    # Only what was made now: what was given needs no telling, and would end in the log of every start.
    known = {heading: getattr(welcome, name) for name, heading in headings.items() if name in welcome.generated}
    lines = {
        "Address": welcome.url,
        **({} if welcome.data_dir is None else {"Data": str(welcome.data_dir)}),
        "Region": welcome.region,
        "Project": welcome.project_id,
        "User": f"{welcome.user} (domain {welcome.domain})",
        **known,
    }
    width = max(len(heading) for heading in lines)
    rows = [f"  {heading:<{width}}  {text}" for heading, text in lines.items()]
    advice = [*_about_secrets(welcome, sign_in_file), *_first_steps(welcome.url, sign_in_file, program)]
    return "\n".join(["fleetcron is running.", "", *rows, "", *advice, ""])


def program_name(started_as: str) -> str:
    """What a shell calls the command line by, quoted: its path where ``fleetcron`` is not to be found.

    ``started_as`` is the process's first argument.
    """
    if shutil.which("fleetcron"):
        return "fleetcron"
    path = Path(started_as).absolute()
    # So it is when it was started as a module, and that file is no program.
    if path.name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m fleetcron"
    return shlex.quote(str(path))


def write_sign_in_file(path: Path, welcome: Welcome) -> None:
    """Write a file that a shell reads (``. FILE``) before ``fleetcron`` and other clients are called.

    Only its owner may read it. It is replaced as a whole, never seen half written. Secrets that the welcome does not
    have are kept as the file has them.

    Raises:
        OSError: it cannot be read or written.
        BadSettings: there is a file that is no sign-in file; it is left as it is.
    """
    said = {
        "FLEETCRON_URL": welcome.url,
        "FLEETCRON_PROJECT_ID": welcome.project_id,
        **kept_secrets(path),
        **_known(welcome),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [_HEADING, *(f"export {name}={shlex.quote(value)}" for name, value in said.items())]
    # A temporary file is made readable to its owner alone.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise


def kept_secrets(path: Path) -> Mapping[str, str]:
    """The secrets in a sign-in file of an earlier start; none if there is no such file.

    Raises:
        OSError: it cannot be read.
        BadSettings: it is no sign-in file.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as error:
        raise BadSettings(str(path), _NOT_OURS) from error
    if text and not text.startswith(_HEADING):
        raise BadSettings(str(path), _NOT_OURS)
    pairs = (word.partition("=") for word in shlex.split(text, comments=True))
    return {name: value for name, _, value in pairs if name in SECRETS}


_HEADING: Final = "# How to sign in to fleetcron, written by `fleetcron serve`. Keep it secret."
_NOT_OURS: Final = "is not a sign-in file; it is left as it is"


def _about_secrets(welcome: Welcome, sign_in_file: Path | None) -> list[str]:
    if welcome.generated:
        return ["Secrets made at this start are not shown again: keep them now."]
    if _known(welcome) or (sign_in_file is not None and kept_secrets(sign_in_file)):
        return []
    # In ASCII alone: a stream that cannot say more must not stop the start.
    return [
        "The secrets of this account were shown at its first start.",
        "To choose new ones, start with FLEETCRON_ADMIN_PASSWORD=... set.",
    ]


def _first_steps(url: str, sign_in_file: Path | None, program: str) -> list[str]:
    if sign_in_file is None:
        heading = "To look around, in another terminal (it asks for the password):"
        return [heading, f"  FLEETCRON_URL={shlex.quote(url)} {program} server list"]
    # A name without a slash would be looked up among the programs.
    file = shlex.quote(str(sign_in_file.absolute()))
    return ["To sign in and look around, in another terminal:", f"  . {file}", f"  {program} server list"]


def _known(welcome: Welcome) -> dict[str, str]:
    values = (welcome.admin_password, welcome.access_key, welcome.secret_key)
    return {name: value for name, value in zip(SECRETS, values, strict=True) if value is not None}
