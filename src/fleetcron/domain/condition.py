"""When a statement of a policy holds: the condition operators.

Operators and their meaning are IAM's. A condition compares the values that a request has under a key with those
that the policy lists: one listed value is enough (for a negated operator, none may match), and every key of every
operator has to hold. A key that the request lacks, or has no value for, holds with the suffix ``IfExists`` alone.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

from fleetcron.domain.wildcard import wildcards
from fleetcron.errors import Invalid

CONDITIONS_MAX = 50
"""Keys under all operators of one statement together."""

CONDITION_VALUES_MAX = 100
CONDITION_TEXT_LENGTH_MAX = 512
"""Characters of a condition's key, and of each of its values."""

GLOBAL_KEYS: Final = (
    *("g:CurrentTime", "g:DomainId", "g:DomainName", "g:EnterpriseProjectId", "g:MFAAge", "g:MFAPresent"),
    *("g:PrincipalAccount", "g:PrincipalUrn", "g:ProjectName", "g:ServiceName", "g:SourceAccount", "g:SourceIp"),
    *("g:SourceUrn", "g:SourceVpc", "g:SourceVpce", "g:TagKeys", "g:UserId", "g:UserName"),
    *("g:PrincipalTag/", "g:RequestTag/", "g:ResourceTag/"),
)
"""The keys that IAM itself defines; after one that ends in a slash comes the tag's own key.

A request need not have them all: what the service cannot know, such as tags, it leaves out.
"""

_GLOBAL_KEYS = tuple(key.lower() for key in GLOBAL_KEYS)
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9-]*:\S+")
_OPERATOR = re.compile(r"(?:(ForAllValues|ForAnyValue):)?([A-Za-z]+?)(IfExists)?")
_NUMBER = re.compile(r"[+-]?[0-9]{1,30}(?:\.[0-9]{1,30})?")
_ECHOED_LENGTH_MAX = 64
"""Characters of a name of the policy's own that an error repeats."""

Context = Mapping[str, tuple[str, ...]]
"""What a request has under each key; keys in lower case, no values as good as no key."""

_Test = Callable[[str], bool]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Every or any value that the request has under ``key`` (lower case) passes the test."""

    key: str
    test: _Test
    every: bool
    if_exists: bool

    def holds(self, context: Context) -> bool:
        """Whether the request meets it."""
        values = context.get(self.key)
        if not values:
            return self.if_exists
        if len(values) == 1:
            return self.test(values[0])
        return all(map(self.test, values)) if self.every else any(map(self.test, values))


class Presence(msgspec.Struct, frozen=True, kw_only=True):
    """The request lacks ``key`` (lower case), or has it: IAM's ``Null``."""

    key: str
    absent: bool

    def holds(self, context: Context) -> bool:
        """Whether the request meets it."""
        return (not context.get(self.key)) is self.absent


Condition = Comparison | Presence


def read_conditions(raw: object, place: str) -> tuple[Condition, ...]:
    """What a statement's ``Condition`` says; ``place`` is where it stands, for the errors.

    Raises:
        Invalid: an operator, a key or a value cannot be used; ``field`` is its place.
    """
    conditions = tuple(
        _read_condition(name, key, values, place)
        for name, keys in _entries(raw, place, "operators, such as StringEquals")
        for key, values in _entries(keys, f"{place}.{name[:_ECHOED_LENGTH_MAX]}", "keys, such as g:UserName")
    )
    if len(conditions) > CONDITIONS_MAX:
        raise Invalid(place, f"must have at most {CONDITIONS_MAX} keys")
    return conditions


def read_texts(raw: object, place: str, *, length_max: int, count_max: int) -> tuple[str, ...]:
    """A list of texts with something in it.

    Raises:
        Invalid: it is none, is empty, or holds too many, too long or empty ones; ``field`` is its place.
    """
    if not isinstance(raw, list) or not raw:
        raise Invalid(place, 'must be a list of one or more texts, such as ["..."]')
    if len(raw) > count_max:
        raise Invalid(place, f"must have at most {count_max} entries")
    for index, text in enumerate(raw):
        if not isinstance(text, str) or not 0 < len(text) <= length_max:
            raise Invalid(f"{place}[{index}]", f"must be a text of 1 to {length_max} characters")
    return tuple(raw)


def _entries(raw: object, place: str, wanted: str) -> list[tuple[str, object]]:
    if not isinstance(raw, dict) or not raw:
        raise Invalid(place, f"must be an object of one or more {wanted}")
    return list(raw.items())


def _read_condition(name: str, key: str, raw: object, place: str) -> Condition:
    place = f"{place}.{name[:_ECHOED_LENGTH_MAX]}"
    written = _OPERATOR.fullmatch(name)
    qualifier, base, if_exists = written.groups() if written else (None, "", None)
    if base == "Null" and (qualifier or if_exists):
        raise Invalid(place, "must be plain Null: it takes neither a prefix nor IfExists")
    compared = _OPERATORS.get(base)
    if compared is None and base != "Null":
        raise Invalid(place, f"must be one of {', '.join(_OPERATORS)} and Null")
    _check_key(key, place)
    place = f"{place}.{key[:_ECHOED_LENGTH_MAX]}"
    values = _read_values(raw, place)
    if compared is None:
        return _read_presence(key, values, place)
    _check_values(compared, values, place)
    return Comparison(
        key=key.lower(),
        test=compared.test_of(values),
        every=qualifier == "ForAllValues" or (compared.negated and qualifier is None),
        if_exists=if_exists is not None,
    )


def _check_key(key: str, place: str) -> None:
    if len(key) > CONDITION_TEXT_LENGTH_MAX or not _KEY.fullmatch(key):
        raise Invalid(place, "must have keys of the form service:Name, such as g:UserName")
    if key[:2].lower() == "g:" and not _is_global(key.lower()):
        raise Invalid(f"{place}.{key[:_ECHOED_LENGTH_MAX]}", f"must be one of {', '.join(GLOBAL_KEYS)}")


def _is_global(key: str) -> bool:
    name, slash, tag = key.partition("/")
    return name + slash in _GLOBAL_KEYS and bool(slash) == bool(tag)


def _read_values(raw: object, place: str) -> tuple[str, ...]:
    values = [raw] if isinstance(raw, str) else raw
    return read_texts(values, place, length_max=CONDITION_TEXT_LENGTH_MAX, count_max=CONDITION_VALUES_MAX)


def _read_presence(key: str, values: tuple[str, ...], place: str) -> Presence:
    absent = _boolean(values[0]) if len(values) == 1 else None
    if absent is None:
        raise Invalid(place, 'must be "true" (the key is absent) or "false" (it is there)')
    return Presence(key=key.lower(), absent=absent)


def _check_values(compared: _Operator, values: tuple[str, ...], place: str) -> None:
    for index, value in enumerate(values):
        if compared.reads is not None and compared.reads(value) is None:
            raise Invalid(f"{place}[{index}]", compared.wanted)


class _Operator(NamedTuple):
    """How values of a policy become a test of one value of the request, which is false where it cannot be read."""

    test_of: Callable[[tuple[str, ...]], _Test]
    negated: bool = False
    reads: Callable[[str], Any] | None = None
    wanted: str = ""


def _equals(values: tuple[str, ...]) -> _Test:
    return frozenset(values).__contains__


def _equals_ignore_case(values: tuple[str, ...]) -> _Test:
    folded = frozenset(map(str.casefold, values))
    return lambda text: text.casefold() in folded


def _matches(values: tuple[str, ...]) -> _Test:
    return wildcards(values).match


# IAM's Like finds its value anywhere in the text, and like the next two it does not mind the case.
def _contains(values: tuple[str, ...]) -> _Test:
    listed = wildcards(f"*{value.casefold()}*" for value in values)
    return lambda text: listed.match(text.casefold())


def _starts(values: tuple[str, ...]) -> _Test:
    folded = tuple(map(str.casefold, values))
    return lambda text: text.casefold().startswith(folded)


def _ends(values: tuple[str, ...]) -> _Test:
    folded = tuple(map(str.casefold, values))
    return lambda text: text.casefold().endswith(folded)


def _strings(name: str, test_of: Callable[[tuple[str, ...]], _Test]) -> dict[str, _Operator]:
    def none_of(values: tuple[str, ...]) -> _Test:
        test = test_of(values)
        return lambda text: not test(text)

    return {f"String{name}": _Operator(test_of), f"StringNot{name}": _Operator(none_of, negated=True)}


def _ordered(
    reads: Callable[[str], Any], compare: Callable[[Any, Any], bool], wanted: str, *, negated: bool = False
) -> _Operator:
    passes = all if negated else any

    def test_of(values: tuple[str, ...]) -> _Test:
        bounds = tuple(map(reads, values))

        def test(text: str) -> bool:
            value = reads(text)
            return value is not None and passes([compare(value, bound) for bound in bounds])

        return test

    return _Operator(test_of, negated=negated, reads=reads, wanted=wanted)


def _number(text: str) -> Decimal | None:
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def _instant(text: str) -> datetime | None:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant if instant.tzinfo else None


def _boolean(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text.lower())


_A_NUMBER = 'must be a number as text, such as "60"'
_AN_INSTANT = "must be an instant with its zone, such as 2026-01-31T23:59:59Z"

_OPERATORS: Final[Mapping[str, _Operator]] = {
    **_strings("Equals", _equals),
    **_strings("EqualsIgnoreCase", _equals_ignore_case),
    **_strings("Match", _matches),
    **_strings("Like", _contains),
    **_strings("StartWith", _starts),
    **_strings("EndWith", _ends),
    "NumberEquals": _ordered(_number, operator.eq, _A_NUMBER),
    "NumberNotEquals": _ordered(_number, operator.ne, _A_NUMBER, negated=True),
    "NumberLessThan": _ordered(_number, operator.lt, _A_NUMBER),
    "NumberLessThanEquals": _ordered(_number, operator.le, _A_NUMBER),
    "NumberGreaterThan": _ordered(_number, operator.gt, _A_NUMBER),
    "NumberGreaterThanEquals": _ordered(_number, operator.ge, _A_NUMBER),
    "DateLessThan": _ordered(_instant, operator.lt, _AN_INSTANT),
    "DateLessThanEquals": _ordered(_instant, operator.le, _AN_INSTANT),
    "DateGreaterThan": _ordered(_instant, operator.gt, _AN_INSTANT),
    "DateGreaterThanEquals": _ordered(_instant, operator.ge, _AN_INSTANT),
    "Bool": _ordered(_boolean, operator.eq, 'must be "true" or "false"'),
}
