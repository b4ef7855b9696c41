"""One noun's row: the same names as the noun's fields, and each value as the database keeps it.

Instants are kept as UTC text with milliseconds and ``Z``, so that text order is time order; dates as
``yyyy-mm-dd``; truths as 0 and 1; nested values as JSON.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Generic, TypeVar

import msgspec

Noun = TypeVar("Noun", bound=msgspec.Struct)
Value = str | int | bytes | float | None


def text_of(instant: datetime) -> str:
    """The instant as the database keeps it: ``2022-03-07T10:40:43.858Z``."""
    return (instant if instant.tzinfo is UTC else instant.astimezone(UTC)).isoformat(timespec="milliseconds")[:-6] + "Z"


class Rows(Generic[Noun]):
    """How one kind of noun is written to and read from rows of its table."""

    def __init__(self, noun: type[Noun], table: str) -> None:
        self.noun = noun
        self.table = table
        self.names = tuple(field.name for field in msgspec.structs.fields(noun))
        kinds = {field.name: _kind(field.type) for field in msgspec.structs.fields(noun)}
        self._writers = tuple(_WRITERS.get(kinds[name], _as_json) for name in self.names)
        self._nested = tuple(index for index, name in enumerate(self.names) if kinds[name] not in _WRITERS)
        self.columns = ", ".join(self.names)
        self.insert = f"INSERT INTO {table} ({self.columns}) VALUES ({', '.join('?' * len(self.names))})"  # noqa: S608  (names are our own fields)

    def values(self, noun: Noun) -> tuple[Value, ...]:
        """The noun as a row, in the order of ``names``."""
        values = msgspec.structs.astuple(noun)
        return tuple(
            [None if value is None else write(value) for value, write in zip(values, self._writers, strict=True)]
        )

    def read(self, row: Iterable[Value]) -> Noun:
        """The noun that a row in the order of ``names`` says.

        Raises:
            msgspec.ValidationError: the row was not written by ``values`` of this version or an older one.
        """
        said: list[object] = list(row)
        for index in self._nested:
            text = said[index]
            if isinstance(text, str):
                said[index] = msgspec.json.decode(text)
        return msgspec.convert(dict(zip(self.names, said, strict=True)), self.noun, strict=False)


def _kind(annotation: object) -> object:
    """The type behind an ``X | None`` annotation; enums count as text."""
    if isinstance(annotation, types.UnionType):
        (annotation,) = [part for part in typing.get_args(annotation) if part is not type(None)]
    return str if isinstance(annotation, type) and issubclass(annotation, StrEnum) else annotation


def _as_json(value: object) -> str:
    return msgspec.json.encode(value).decode()


_WRITERS: dict[object, Callable[[typing.Any], Value]] = {
    str: str,
    int: int,
    bool: int,
    bytes: bytes,
    float: float,
    date: date.isoformat,
    datetime: text_of,
}
