"""Reading what callers send: limits, defaults, and refusals that name the field."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcron.errors import Invalid
from fleetcron.wire.fields import AnyCase, Id, Page, read_body, read_query


class Colour(AnyCase):
    RED = "RED"


class Inner(msgspec.Struct):
    key: Id
    colour: Colour = Colour.RED


class Outer(msgspec.Struct):
    inners: Annotated[list[Inner], msgspec.Meta(max_length=3)]
    size: int | None = None


def refused(raw: bytes) -> Invalid:
    with pytest.raises(Invalid) as caught:
        read_body(raw, Outer)
    return caught.value


def test_a_page_is_the_first_ten_unless_said_otherwise() -> None:
    assert read_query({}, Page) == Page(offset=0, limit=10)


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ({"offset": "0", "limit": "1"}, Page(offset=0, limit=1)),
        ({"offset": "2147483647", "limit": "100"}, Page(offset=2_147_483_647, limit=100)),
        ({"unknown": "passed over"}, Page()),
    ],
)
def test_a_page_is_read_up_to_its_limits(said: dict[str, str], read: Page) -> None:
    assert read_query(said, Page) == read


NO_NUMBERS = ["", "x", " 5", "5 ", "+5", "1_0", "0x5", "1.5", "٣", "5\n", "5\0", "null", "true", "NaN", "1e400", "-"]


@pytest.mark.parametrize(
    ("field", "text"),
    [("limit", text) for text in ("0", "101", "-1", "9" * 5000, *NO_NUMBERS)]
    + [("offset", text) for text in ("-1", "2147483648", "9" * 5000, *NO_NUMBERS)],
)
def test_a_page_outside_its_limits_is_refused_by_name(field: str, text: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_query({field: text}, Page)
    assert caught.value.field == field


@given(st.text(), st.text())
def test_whatever_a_page_says_it_is_read_or_refused(offset: str, limit: str) -> None:
    try:
        page = read_query({"offset": offset, "limit": limit}, Page)
    except Invalid:
        return
    assert 0 <= page.offset <= 2_147_483_647
    assert 1 <= page.limit <= 100


def test_an_enum_is_read_in_any_case_and_written_as_defined() -> None:
    read = read_body(b'{"inners":[{"key":"a","colour":"rEd"}]}', Outer)
    assert msgspec.json.encode(read.inners[0].colour) == b'"RED"'


def test_a_refusal_names_the_field_at_its_place() -> None:
    assert refused(b'{"inners":[{"key":"a"},{"key":""}]}').field == "inners[1].key"


def test_a_refusal_names_the_enum_at_its_place() -> None:
    assert refused(b'{"inners":[{"key":"a","colour":"BLUE"}]}').field == "inners[0].colour"


def test_a_missing_field_is_named_at_its_place() -> None:
    missing = refused(b'{"inners":[{"colour":"RED"}]}')
    assert (missing.field, missing.reason) == ("inners[0].key", "is required")


def test_an_empty_body_is_an_empty_object() -> None:
    missing = refused(b"")
    assert (missing.field, missing.reason) == ("inners", "is required")


@pytest.mark.parametrize(
    "raw",
    [
        b"null",
        b"[]",
        b"7",
        b'"text"',
        b"{",
        b"{'inners':[]}",
        b'{"inners":[]} trailing',
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b'{"inners":[{"key":"\xff"}]}',
        b'{"inners":[{"key":"\\ud800"}]}',
        b'{"inners":[],"size":1' + b"0" * 5000 + b"}",
        b'{"inners":[],"size":1e400}',
        b'{"inners":[],"size":1.5}',
        b'{"inners":[],"size":NaN}',
        b'{"inners":[],"size":"1"}',
        b'{"inners":[],"more":' + b"[" * 100_000,
        b'{"a":' * 50_000,
    ],
)
def test_a_body_that_cannot_be_meant_is_refused(raw: bytes) -> None:
    assert refused(raw).reason


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b'{"inners":[{"key":"a"},{"key":"a\\u0000b"}]}', "inners[1].key"),
        (b'{"inners":[],"more":{"deep":["\\u0000"]}}', "more.deep[0]"),
        (b'{"\\u0000":1,"inners":[]}', "body"),
    ],
)
def test_a_nul_is_refused_wherever_it_stands(raw: bytes, field: str) -> None:
    """Not every database can keep it, and what is passed over today may be read tomorrow."""
    nul = refused(raw)
    assert (nul.field, nul.reason) == (field, "must not contain the character NUL")


def test_what_only_looks_like_a_nul_is_read() -> None:
    read = read_body(b'{"inners":[{"key":"\\\\u0000"}]}', Outer)
    assert read.inners[0].key == "\\u0000"


def test_a_nul_in_a_query_is_refused_by_name() -> None:
    with pytest.raises(Invalid, match="NUL") as nul:
        read_query({"name": "a\0b"}, Page)
    assert nul.value.field == "name"


@given(st.binary(max_size=64))
def test_whatever_bytes_come_they_are_read_or_refused(raw: bytes) -> None:
    with suppress(Invalid):
        read_body(raw, Outer)
