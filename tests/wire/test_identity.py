"""What every word of the identity API is made of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from fleetcron.wire.identity import Confidential, operation, say_instant, say_links
from fleetcron.wire.operation import Dialect


class Diary(Confidential, frozen=True, kw_only=True):
    entry: str


def test_what_is_confidential_shows_its_type_alone() -> None:
    assert repr(Diary(entry="hush")) == "Diary(…)"
    assert "hush" not in repr([Diary(entry="hush")])


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (datetime(2020, 1, 4, 9, 5, 22, 701000, tzinfo=UTC), "2020-01-04T09:05:22.701000Z"),
        (datetime(2020, 1, 4, 9, 5, 22, tzinfo=UTC), "2020-01-04T09:05:22.000000Z"),
        (datetime(2020, 1, 4, 9, 5, 22, 701999, tzinfo=timezone(timedelta(hours=8))), "2020-01-04T01:05:22.701000Z"),
    ],
)
def test_an_instant_is_utc_with_six_digits(instant: datetime, text: str) -> None:
    assert say_instant(instant) == text


def test_links_lead_to_no_further_page() -> None:
    assert say_links("http://localhost/v3/users") == {
        "self": "http://localhost/v3/users",
        "next": None,
        "previous": None,
    }


def test_an_error_of_the_identity_api_has_its_status_for_a_code() -> None:
    row = operation("KeystoneNod", "GET", "/v3/nod", "Nod", tag="Gestures")
    assert (row.id, row.method, row.path, row.summary, row.tag) == (
        "KeystoneNod", "GET", "/v3/nod", "Nod", "Gestures",
    )  # fmt: skip
    assert row.dialect is Dialect.IDENTITY
    assert {code for status, code in row.faults.items() if code != str(status)} == set()
    assert operation("KeystoneNod", "GET", "/v3/nod", "Nod").tag == "Sign-in"
