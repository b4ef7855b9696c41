"""One noun's row: the same names as the noun's fields, and each value as the database keeps it.

Instants are kept as UTC text with milliseconds and ``Z``, so that text order is time order; dates as
``yyyy-mm-dd``; truths as 0 and 1; nested values as JSON.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import lru_cache
from operator import attrgetter
from typing import Generic, TypeVar

import msgspec

from fleetcron.store.database import Many

Noun = TypeVar("Noun", bound=msgspec.Struct)
Value = str | int | bytes | float | None

INSTANTS_REMEMBERED_MAX = 4096

# How a value of each kind is read out of a row of `json_each(?) r`; others are text.
_OUT_OF_A_LIST: dict[object, str] = {
    int: "CAST(r.value ->> {} AS BIGINT)",
    bool: "CAST(r.value ->> {} AS BIGINT)",
    bytes: "decode(r.value ->> {}, 'base64')",
}


@lru_cache(maxsize=INSTANTS_REMEMBERED_MAX)
def text_of(instant: datetime) -> str:
    """The instant as the database keeps it: ``2022-03-07T10:40:43.858Z``.

    A burst of fires says the same few instants ten thousand times, so they are remembered.
    """
    return (instant if instant.tzinfo is UTC else instant.astimezone(UTC)).isoformat("T", "milliseconds")[:-6] + "Z"


def containing(text: str) -> str:
    r"""The pattern of what contains the text: ``lower(name) LIKE ? ESCAPE '\'``, in whatever case of A to Z.

    Made small here, for PostgreSQL would make a parameter small by the rules of the database's language.
    """
    small = text.encode().lower().decode()
    return "%" + small.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"


def json_of(rows: Sequence[object]) -> str:
    """Many rows as the one parameter that ``json_each(?)`` reads."""
    return msgspec.json.encode(rows).decode()


class Rows(Generic[Noun]):
    """How one kind of noun is written to and read from rows of its table."""

    def __init__(self, noun: type[Noun], table: str) -> None:
        self.noun = noun
        self.table = table
        self.names = tuple(field.name for field in msgspec.structs.fields(noun))
        self._kinds = {field.name: _kind(field.type) for field in msgspec.structs.fields(noun)}
        # What the database keeps as it is needs no writer.
        self._writers = {
            name: _WRITERS.get(self._kinds[name], _as_json)
            for name, annotation in ((field.name, field.type) for field in msgspec.structs.fields(noun))
            if _plain(annotation) not in (str, int, bytes, float)
        }
        self._every = self.some(*self.names)
        self._nested = tuple(name for name in self.names if self._kinds[name] not in _WRITERS)
        self.columns = ", ".join(self.names)
        self.insert = f"INSERT INTO {table} ({self.columns}) VALUES ({', '.join('?' * len(self.names))})"  # noqa: S608  (names are our own fields)
        listed = ", ".join(_out_of_a_list(self._kinds[name], place) for place, name in enumerate(self.names))
        self.insert_many = Many(
            each=self.insert,
            all=f"INSERT INTO {table} ({self.columns}) SELECT {listed} FROM json_each(?) r",  # noqa: S608  (the same)
        )

    def values(self, noun: Noun) -> tuple[Value, ...]:
        """The noun as a row, in the order of ``names``."""
        return self._every(noun)

    def some(self, *names: str) -> Callable[[Noun], tuple[Value, ...]]:
        """What gives of a noun the values of these fields alone, two at least, in this order."""
        writers = [(place, self._writers[name]) for place, name in enumerate(names) if name in self._writers]
        fields = attrgetter(*names)

        def values(noun: Noun) -> tuple[Value, ...]:
            row = list(fields(noun))
            for place, write in writers:
                if row[place] is not None:
                    row[place] = write(row[place])
            return tuple(row)

        return values

    def update_many(self, changed: Sequence[str], key: Sequence[str], **beside: type) -> Many:
        """What sets the fields ``changed`` where those of ``key`` are as a row says: first what changes, then the key.

        ``beside`` are columns that are not fields of the noun, and their kinds.
        """
        kinds = self._kinds | beside
        names = (*changed, *key)
        listed = {name: _out_of_a_list(kinds[name], place) for place, name in enumerate(names)}
        return Many(
            each=f"UPDATE {self.table} SET {', '.join(f'{name} = ?' for name in changed)}"  # noqa: S608  (the same)
            f" WHERE {' AND '.join(f'{name} = ?' for name in key)}",
            all=f"UPDATE {self.table} SET {', '.join(f'{name} = {listed[name]}' for name in changed)}"  # noqa: S608  (the same)
            f" FROM json_each(?) r WHERE {' AND '.join(f'{self.table}.{name} = ({listed[name]})' for name in key)}",
        )

    def read(self, row: Iterable[Value]) -> Noun:
        """The noun that a row in the order of ``names`` says.

        Raises:
            msgspec.ValidationError: the row was not written by ``values`` of this version or an older one.
        """
        said: dict[str, object] = dict(zip(self.names, row, strict=True))
        for name in self._nested:
            text = said[name]
            if isinstance(text, str):
                said[name] = msgspec.json.decode(text)
        return msgspec.convert(said, self.noun, strict=False)


def _out_of_a_list(kind: object, place: int) -> str:
    return _OUT_OF_A_LIST.get(kind, "r.value ->> {}").format(place)


def _kind(annotation: object) -> object:
    """The kind of value that the database keeps; enums count as text."""
    annotation = _plain(annotation)
    return str if isinstance(annotation, type) and issubclass(annotation, StrEnum) else annotation


def _plain(annotation: object) -> object:
    """The type behind an ``X | None`` annotation."""
    if isinstance(annotation, types.UnionType):
        (annotation,) = [part for part in typing.get_args(annotation) if part is not type(None)]
    return annotation


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
