"""What a command prints: read as an observation, or kept as a reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from fleetcron.domain.fleet import Power
from fleetcron.drivers.contract import Observation
from fleetcron.errors import Permanent

REASON_LENGTH_MAX = 200
BOOT_MARKER_LENGTH_MAX = 200
_USERS_DIGITS_MAX = 9
_POWERS = {"on": Power.ON, "off": Power.OFF, "transition": Power.TRANSITION, "unknown": Power.UNKNOWN}
_T = TypeVar("_T")


def read_observation(output: bytes) -> Observation:
    """Read what an observing command printed: ``key=value`` lines, of which other keys and other lines are ignored.

    Raises:
        Permanent: ``power`` is missing, or a value cannot be used.
    """
    lines = output.decode(errors="replace").splitlines()
    said = {key.strip(): value.strip() for key, equals, value in (line.partition("=") for line in lines) if equals}
    if "power" not in said:
        raise Permanent("observe printed no power=on|off|transition|unknown")
    return Observation(
        power=_choice("power", said["power"], _POWERS),
        busy=_choice("busy", said.get("busy", "false"), {"true": True, "false": False}),
        boot_marker=_boot_marker(said.get("boot_marker", "")),
        users=_users(said.get("users", "")),
    )


def last_line(output: bytes) -> str:
    """Find the last line that says anything, fit to be kept in a reason; empty if none does."""
    lines = [line for line in map(printable, output.decode(errors="replace").splitlines()) if line]
    return lines[-1] if lines else ""


def printable(text: str) -> str:
    """Make text fit to be kept in a reason: no control characters, and only its end if it is long."""
    visible = "".join(character if character.isprintable() else " " for character in text)
    return visible.strip()[-REASON_LENGTH_MAX:]


def _choice(key: str, word: str, choices: Mapping[str, _T]) -> _T:
    choice = choices.get(word.lower())
    if choice is None:
        raise Permanent(f"observe printed {key}={printable(word)}, which is not one of {', '.join(choices)}")
    return choice


def _boot_marker(text: str) -> str | None:
    if len(text) > BOOT_MARKER_LENGTH_MAX or not text.isprintable():
        raise Permanent(
            f"observe printed a boot_marker that is not up to {BOOT_MARKER_LENGTH_MAX} printable characters"
        )
    return text or None


def _users(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _USERS_DIGITS_MAX):
        raise Permanent(f"observe printed users={printable(text)}, which is not a number")
    return int(text)
