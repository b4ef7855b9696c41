"""Reading what callers send: types with their limits, and errors that name the field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Self, TypeVar

import msgspec

from fleetcron.errors import Invalid

OFFSET_MAX = 2_147_483_647
PAGE_MAX = 100
PAGE_DEFAULT = 10

Read = TypeVar("Read")

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Offset = Annotated[int, msgspec.Meta(ge=0, le=OFFSET_MAX)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX)]


class AnyCase(StrEnum):
    """An enum whose text is read in any case and written as it is defined."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        return cls.__members__.get(value.upper()) if isinstance(value, str) else None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Which stretch of a list is asked for; ``offset`` counts records."""

    offset: Offset = 0
    limit: Limit = PAGE_DEFAULT


def read_body(raw: bytes, kind: type[Read]) -> Read:
    """Read a JSON body.

    Raises:
        Invalid: it is no JSON, a value is missing, of the wrong type or outside its limits, or a text has the character
            NUL; names the field.
    """
    try:
        if b"\\u0000" in raw:
            refuse_nul(msgspec.json.decode(raw))
        return msgspec.json.decode(raw or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise _named(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("body", f"is not valid JSON: {error}") from error


def read_query(pairs: Mapping[str, str], kind: type[Read]) -> Read:
    """Read query parameters; a name that the operation does not know is passed over.

    Raises:
        Invalid: as in ``read_body``.
    """
    refuse_nul(pairs)
    try:
        return msgspec.convert(pairs, type=kind, strict=False)
    except msgspec.ValidationError as error:
        raise _named(error) from error


def refuse_nul(said: object, place: str = "") -> None:
    """Let nothing pass that has the character NUL in a text of it: not every database can keep it.

    Raises:
        Invalid: there is one; names the field, or ``place`` for a text that stands alone.
    """
    if isinstance(said, str) and "\0" in said:
        raise Invalid(place or "body", "must not contain the character NUL")
    if isinstance(said, Mapping):
        for name, value in said.items():
            refuse_nul(name, place)
            refuse_nul(value, f"{place}.{name}" if place else name)
    if isinstance(said, list):
        for index, value in enumerate(said):
            refuse_nul(value, f"{place}[{index}]")


_AT = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(?P<field>.+)`$")


def _named(error: msgspec.ValidationError) -> Invalid:
    """Take msgspec's sentence apart: ``Expected `int` >= 1 - at `$.limit```."""
    parts = _AT.match(str(error))
    what, path = (parts["what"], parts["path"] or "") if parts else (str(error), "")
    missing = _MISSING.match(what)
    if missing:
        path = f"{path}.{missing['field']}" if path else missing["field"]
        return Invalid(path, "is required")
    return Invalid(path or "body", f"is not valid: {what[:1].lower()}{what[1:]}")
