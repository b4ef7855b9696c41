"""What is written on the line: commands, batches of events and their verdicts, as msgpack in a versioned envelope."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

import msgspec

from fleetcron.dispatch.contract import Command, Event, Verdict

VERSION: Final = 1
LETTER_BYTES_MAX: Final = 512 * 1024
_T = TypeVar("_T", bound="Letter")


class Unreadable(Exception):
    """A message that is not one of ours, or not of this version."""


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """What every message begins with."""

    version: int = VERSION


class CommandLetter(Letter, frozen=True, kw_only=True):
    """One command."""

    command: Command


class EventsLetter(Letter, frozen=True, kw_only=True):
    """A batch of one worker's events; ``batch`` is this worker's name for it, and no other worker uses it."""

    batch: str
    events: tuple[Event, ...]


class VerdictsLetter(Letter, frozen=True, kw_only=True):
    """The verdicts on a batch, from its event number ``first`` (from 0) on."""

    batch: str
    first: int
    verdicts: tuple[Verdict, ...]


class _Sealed(Letter, frozen=True, kw_only=True):
    """A batch whose contents are encoded already."""

    batch: str
    events: Sequence[msgspec.Raw]


class _Answered(Letter, frozen=True, kw_only=True):
    """Verdicts that are encoded already."""

    batch: str
    first: int
    verdicts: Sequence[msgspec.Raw]


_encode = msgspec.msgpack.Encoder().encode


def write_command(command: Command) -> bytes:
    """A command as it goes over the line."""
    return _encode(CommandLetter(command=command))


def write_event(event: Event) -> bytes:
    """An event as it goes into a batch."""
    return _encode(event)


def write_events(batch: str, events: Iterable[bytes]) -> bytes:
    """A batch of events that ``write_event`` wrote."""
    return _encode(_Sealed(batch=batch, events=[msgspec.Raw(event) for event in events]))


def write_verdicts(batch: str, verdicts: Sequence[Verdict]) -> list[bytes]:
    """The verdicts on a whole batch: one message, or several where what is left of commands is long."""
    letters: list[bytes] = []
    parts: list[msgspec.Raw] = []
    first = size_bytes = 0
    for number, verdict in enumerate(verdicts):
        part = _encode(verdict)
        if parts and size_bytes + len(part) > LETTER_BYTES_MAX:
            letters.append(_encode(_Answered(batch=batch, first=first, verdicts=parts)))
            parts, first, size_bytes = [], number, 0
        parts.append(msgspec.Raw(part))
        size_bytes += len(part)
    return [*letters, _encode(_Answered(batch=batch, first=first, verdicts=parts))]


_version = msgspec.msgpack.Decoder(Letter)
_command = msgspec.msgpack.Decoder(CommandLetter)
_events = msgspec.msgpack.Decoder(EventsLetter)
_verdicts = msgspec.msgpack.Decoder(VerdictsLetter)


def read_command(letter: bytes) -> Command:
    """The command in a message.

    Raises:
        Unreadable: it is none.
    """
    return _read(_command, letter).command


def read_events(letter: bytes) -> EventsLetter:
    """The batch in a message.

    Raises:
        Unreadable: it is none.
    """
    return _read(_events, letter)


def read_verdicts(letter: bytes) -> VerdictsLetter:
    """The verdicts in a message.

    Raises:
        Unreadable: it is none.
    """
    return _read(_verdicts, letter)


def _read(decoder: msgspec.msgpack.Decoder[_T], letter: bytes) -> _T:
    try:
        read = decoder.decode(letter)
    except msgspec.MsgspecError as error:
        raise Unreadable(_why(letter, str(error))) from error
    if read.version != VERSION:
        raise Unreadable(_why(letter, ""))
    return read


def _why(letter: bytes, otherwise: str) -> str:
    try:
        version = _version.decode(letter).version
    except msgspec.MsgspecError:
        return otherwise
    return otherwise if version == VERSION else f"it is of version {version}, and we read {VERSION}"
