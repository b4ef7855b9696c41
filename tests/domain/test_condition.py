"""When conditions hold, operator by operator, and how malformed ones are refused."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcron.domain.condition import (
    CONDITION_TEXT_LENGTH_MAX,
    CONDITION_VALUES_MAX,
    CONDITIONS_MAX,
    read_conditions,
)
from fleetcron.errors import Invalid

PLACE = "policy.Statement[0].Condition"

# A value that the operator can read in each family, and one that it cannot.
READABLE = {"String": "x", "Number": "1", "Date": "2026-01-01T00:00:00Z", "Bool": "true"}
OPERATORS = [
    *("StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"),
    *("StringMatch", "StringNotMatch", "StringLike", "StringNotLike"),
    *("StringStartWith", "StringNotStartWith", "StringEndWith", "StringNotEndWith"),
    *("NumberEquals", "NumberNotEquals", "NumberLessThan", "NumberLessThanEquals"),
    *("NumberGreaterThan", "NumberGreaterThanEquals"),
    *("DateLessThan", "DateLessThanEquals", "DateGreaterThan", "DateGreaterThanEquals", "Bool"),
]


def readable(operator: str) -> str:
    return next(value for family, value in READABLE.items() if operator.startswith(family))


def holds(condition: Mapping[str, object], **context: str | tuple[str, ...]) -> bool:
    """Whether a request meets the condition; each argument is what it has under the global key of that name."""
    request = {f"g:{name.lower()}": (value,) if isinstance(value, str) else value for name, value in context.items()}
    return all(one.holds(request) for one in read_conditions(condition, PLACE))


@pytest.mark.parametrize(
    ("operator", "listed", "passing", "failing"),
    [
        ("StringEquals", ["alice", "bob"], ["alice", "bob"], ["Alice", "alice ", ""]),
        ("StringNotEquals", ["alice", "bob"], ["Alice", "carol", ""], ["alice", "bob"]),
        ("StringEqualsIgnoreCase", ["Alice"], ["alice", "ALICE"], ["alices"]),
        ("StringNotEqualsIgnoreCase", ["Alice"], ["alices"], ["alice", "ALICE"]),
        ("StringMatch", ["al?ce*"], ["alice", "alxce-2"], ["ALICE", "malice", "alce"]),
        ("StringNotMatch", ["al?ce*"], ["ALICE", "malice"], ["alice"]),
        ("StringMatch", ["a.c", "[ab]"], ["a.c", "[ab]"], ["abc", "a"]),
        ("StringLike", ["lic"], ["alice", "ALICE", "lic"], ["alce"]),
        ("StringLike", ["l?c"], ["alice"], ["alce"]),
        ("StringNotLike", ["lic"], ["alce"], ["alice", "ALICE"]),
        ("StringStartWith", ["Al"], ["alice", "AL"], ["mal"]),
        ("StringNotStartWith", ["Al"], ["mal"], ["alice"]),
        ("StringEndWith", ["ce"], ["alice", "ALICE"], ["cellar"]),
        ("StringNotEndWith", ["ce"], ["cellar"], ["alice"]),
        ("NumberEquals", ["1", "2.50"], ["1.0", "2.5", "+1"], ["3", "one", "", "NaN"]),
        ("NumberNotEquals", ["1", "2"], ["3"], ["1", "2.0", "one"]),
        ("NumberLessThan", ["5"], ["4.999", "-5"], ["5", "6", "x"]),
        ("NumberLessThanEquals", ["5"], ["5", "5.0"], ["5.001"]),
        ("NumberGreaterThan", ["5"], ["5.001"], ["5"]),
        ("NumberGreaterThanEquals", ["5"], ["5"], ["4.999"]),
        ("DateLessThan", ["2026-01-01T00:00:00Z"], ["2025-12-31T23:59:59Z"], ["2026-01-01T00:00:00Z", "now", "2025"]),
        ("DateLessThanEquals", ["2026-01-01T08:00:00+08:00"], ["2026-01-01T00:00:00Z"], ["2026-01-01T00:00:01Z"]),
        ("DateGreaterThan", ["2026-01-01T00:00:00Z"], ["2026-01-01T00:00:00.001Z"], ["2026-01-01T00:00:00Z"]),
        ("DateGreaterThanEquals", ["2026-01-01T00:00:00Z"], ["2026-01-01T00:00:00Z"], ["0001-01-01T00:00:00+14:00"]),
        ("Bool", ["true"], ["true", "True"], ["false", "yes", ""]),
        ("Bool", ["False"], ["false"], ["true"]),
    ],
)
def test_an_operator_compares_as_its_name_says(
    operator: str, listed: list[str], passing: list[str], failing: list[str]
) -> None:
    condition = {operator: {"g:UserName": listed}}
    assert [value for value in passing if not holds(condition, UserName=value)] == []
    assert [value for value in failing if holds(condition, UserName=value)] == []


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("prefix", ["", "ForAnyValue:", "ForAllValues:"])
def test_only_if_exists_holds_without_a_value(operator: str, prefix: str) -> None:
    plain = {f"{prefix}{operator}": {"g:UserName": readable(operator)}}
    lenient = {f"{prefix}{operator}IfExists": {"g:UserName": readable(operator)}}
    assert not holds(plain)
    assert not holds(plain, UserName=())
    assert holds(lenient)
    assert holds(lenient, UserName=())


@pytest.mark.parametrize("operator", OPERATORS)
def test_if_exists_changes_nothing_where_the_key_is_there(operator: str) -> None:
    value = readable(operator)
    for asked in (value, "something else"):
        expected = holds({operator: {"g:UserName": value}}, UserName=asked)
        assert holds({f"{operator}IfExists": {"g:UserName": value}}, UserName=asked) is expected


@pytest.mark.parametrize(
    ("condition", "absent", "there"), [("true", True, False), ("false", False, True), (["true"], True, False)]
)
def test_null_asks_whether_the_key_is_there(condition: object, absent: bool, there: bool) -> None:
    assert holds({"Null": {"g:MFAPresent": condition}}) is absent
    assert holds({"Null": {"g:MFAPresent": condition}}, MFAPresent=()) is absent
    assert holds({"Null": {"g:MFAPresent": condition}}, MFAPresent="false") is there


@pytest.mark.parametrize(
    ("operator", "asked", "expected"),
    [
        ("ForAnyValue:StringEquals", ("a", "x"), True),
        ("ForAnyValue:StringEquals", ("x", "y"), False),
        ("ForAllValues:StringEquals", ("a", "b"), True),
        ("ForAllValues:StringEquals", ("a", "x"), False),
        ("ForAnyValue:StringNotEquals", ("a", "x"), True),
        ("ForAnyValue:StringNotEquals", ("a", "b"), False),
        ("ForAllValues:StringNotEquals", ("x", "y"), True),
        ("ForAllValues:StringNotEquals", ("a", "x"), False),
        ("StringEquals", ("a", "x"), True),
        ("StringNotEquals", ("a", "x"), False),
    ],
)
def test_a_prefix_says_how_many_of_the_requests_values_count(
    operator: str, asked: tuple[str, ...], expected: bool
) -> None:
    assert holds({operator: {"g:TagKeys": ["a", "b"]}}, TagKeys=asked) is expected


def test_every_key_of_every_operator_has_to_hold() -> None:
    condition = {"StringEquals": {"g:UserName": "alice", "g:DomainName": "acme"}, "Bool": {"g:MFAPresent": "true"}}
    assert holds(condition, UserName="alice", DomainName="acme", MFAPresent="true")
    assert not holds(condition, UserName="alice", DomainName="other", MFAPresent="true")
    assert not holds(condition, UserName="alice", DomainName="acme", MFAPresent="false")


def test_the_case_of_a_key_does_not_count() -> None:
    assert holds({"StringEquals": {"G:USERNAME": "alice"}}, UserName="alice")


@given(
    listed=st.lists(st.text(alphabet="ab*?", min_size=1, max_size=4), min_size=1, max_size=3),
    asked=st.lists(st.text(alphabet="ab", max_size=4), min_size=1, max_size=3),
)
def test_a_negated_operator_holds_where_the_plain_one_does_not(listed: list[str], asked: list[str]) -> None:
    for operator, negated in (("StringMatch", "StringNotMatch"), ("StringLike", "StringNotLike")):
        plain = holds({operator: {"g:TagKeys": listed}}, TagKeys=tuple(asked))
        assert holds({negated: {"g:TagKeys": listed}}, TagKeys=tuple(asked)) is not plain
    matched = any(fnmatchcase(value, pattern) for value in asked for pattern in listed)
    assert holds({"StringMatch": {"g:TagKeys": listed}}, TagKeys=tuple(asked)) is matched


@pytest.mark.parametrize(
    ("condition", "place"),
    [
        (None, ""),
        ([], ""),
        ({}, ""),
        ({"StringEquals": {}}, ".StringEquals"),
        ({"StringEquals": []}, ".StringEquals"),
        ({"StringEquals": "g:UserName"}, ".StringEquals"),
        ({"IpAddress": {"g:SourceIp": "10.0.0.0/8"}}, ".IpAddress"),
        ({"stringEquals": {"g:UserName": "a"}}, ".stringEquals"),
        ({"": {"g:UserName": "a"}}, "."),
        ({"ForSomeValues:StringEquals": {"g:UserName": "a"}}, ".ForSomeValues:StringEquals"),
        ({"StringEqualsIfExistsIfExists": {"g:UserName": "a"}}, ".StringEqualsIfExistsIfExists"),
        ({"NullIfExists": {"g:UserName": "true"}}, ".NullIfExists"),
        ({"ForAnyValue:Null": {"g:UserName": "true"}}, ".ForAnyValue:Null"),
        ({"x" * 9999: {"g:UserName": "a"}}, "." + "x" * 64),
        ({"StringEquals": {"UserName": "a"}}, ".StringEquals"),
        ({"StringEquals": {"g:": "a"}}, ".StringEquals"),
        ({"StringEquals": {"g:User Name": "a"}}, ".StringEquals"),
        ({"StringEquals": {"g:UserNmae": "a"}}, ".StringEquals.g:UserNmae"),
        ({"StringEquals": {"g:ResourceTag/": "a"}}, ".StringEquals.g:ResourceTag/"),
        ({"StringEquals": {"g:UserName/x": "a"}}, ".StringEquals.g:UserName/x"),
        ({"StringEquals": {"g:ResourceTag": "a"}}, ".StringEquals.g:ResourceTag"),
        ({"StringEquals": {"x:" + "y" * CONDITION_TEXT_LENGTH_MAX: "a"}}, ".StringEquals"),
        ({"StringEquals": {"g:UserName": []}}, ".StringEquals.g:UserName"),
        ({"StringEquals": {"g:UserName": 1}}, ".StringEquals.g:UserName"),
        ({"Bool": {"g:MFAPresent": True}}, ".Bool.g:MFAPresent"),
        ({"StringEquals": {"g:UserName": ["a", 1]}}, ".StringEquals.g:UserName[1]"),
        ({"StringEquals": {"g:UserName": ["a", ""]}}, ".StringEquals.g:UserName[1]"),
        ({"StringEquals": {"g:UserName": "a" * (CONDITION_TEXT_LENGTH_MAX + 1)}}, ".StringEquals.g:UserName[0]"),
        ({"StringEquals": {"g:UserName": ["a"] * (CONDITION_VALUES_MAX + 1)}}, ".StringEquals.g:UserName"),
        ({"StringEquals": {f"x:{number}": "a" for number in range(CONDITIONS_MAX + 1)}}, ""),
        ({"NumberLessThan": {"g:MFAAge": ["1", "1e3"]}}, ".NumberLessThan.g:MFAAge[1]"),
        ({"NumberEquals": {"g:MFAAge": "NaN"}}, ".NumberEquals.g:MFAAge[0]"),
        ({"NumberEquals": {"g:MFAAge": "٣"}}, ".NumberEquals.g:MFAAge[0]"),
        ({"DateLessThan": {"g:CurrentTime": "2026-01-01T00:00:00"}}, ".DateLessThan.g:CurrentTime[0]"),
        ({"DateLessThan": {"g:CurrentTime": "tomorrow"}}, ".DateLessThan.g:CurrentTime[0]"),
        ({"Bool": {"g:MFAPresent": "yes"}}, ".Bool.g:MFAPresent[0]"),
        ({"Null": {"g:MFAPresent": "yes"}}, ".Null.g:MFAPresent"),
        ({"Null": {"g:MFAPresent": ["true", "false"]}}, ".Null.g:MFAPresent"),
    ],
)
def test_a_malformed_condition_is_refused_with_its_place(condition: object, place: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_conditions(condition, PLACE)
    assert refused.value.field == PLACE + place
    assert refused.value.reason.startswith("must ")


def test_tag_keys_and_keys_of_other_services_are_read() -> None:
    condition = {"StringEquals": {"g:ResourceTag/cost:centre": "a", "obs:prefix": ["public"]}}
    assert [one.key for one in read_conditions(condition, PLACE)] == ["g:resourcetag/cost:centre", "obs:prefix"]
