"""What ``fleetcron serve`` tells whoever started it: on the screen, and in a file for a shell to read."""

from __future__ import annotations

import contextlib
import os
import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fleetcron.assembly import Welcome
from fleetcron.errors import BadSettings

SECRETS: Final = ("FLEETCRON_ADMIN_PASSWORD", "FLEETCRON_ACCESS_KEY", "FLEETCRON_SECRET_KEY")


def welcome_text(welcome: Welcome, sign_in_file: Path | None) -> str:
    """Where the service is, how to sign in, where the data lies, and what to try first.

    A secret is in it only where the welcome has it.
    """
    headings = {"admin_password": "Password", "access_key": "Access key", "secret_key": "Secret key"}
    # Only what was made now: what was given needs no telling, and would end in the log of every start.
    known = {heading: getattr(welcome, name) for name, heading in headings.items() if name in welcome.generated}
    lines = {
        "Address": welcome.url,
        "Data": str(welcome.data_dir),
        "Region": welcome.region,
        "Project": welcome.project_id,
        "User": f"{welcome.user} (domain {welcome.domain})",
        **known,
    }
    width = max(len(heading) for heading in lines)
    rows = [f"  {heading:<{width}}  {text}" for heading, text in lines.items()]
    return "\n".join(["fleetcron is running.", "", *rows, "", *_advice(sign_in_file, secrets_known=bool(known)), ""])


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


def _advice(sign_in_file: Path | None, *, secrets_known: bool) -> list[str]:
    advice = []
    if secrets_known:
        advice.append("Secrets made at this start are not shown again: keep them now.")
    if sign_in_file is not None:
        advice += ["To sign in and look around, in another terminal:", f"  . {shlex.quote(str(sign_in_file))}"]
    else:
        advice.append("To look around, in another terminal (it asks for the password):")
    return [*advice, "  fleetcron server list"]


def _known(welcome: Welcome) -> dict[str, str]:
    values = (welcome.admin_password, welcome.access_key, welcome.secret_key)
    return {name: value for name, value in zip(SECRETS, values, strict=True) if value is not None}
