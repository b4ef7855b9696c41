"""What the deeds of the identity API have in common."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fleetcron.web.replies import answer, base, told


class Asked(msgspec.Struct):
    """As much of a call as matters here."""

    headers: dict[str, str]
    scheme: str = "http"


def test_an_answer_is_json() -> None:
    said = answer({"a": [1]}, status=201, headers={"X-Subject-Token": "t"})
    assert (said.status, said.body, said.headers) == (201, b'{"a":[1]}', {"X-Subject-Token": "t"})


@pytest.mark.parametrize(
    ("call", "url"),
    [
        (Asked({"host": "fleet.example:8774"}), "http://fleet.example:8774"),
        (Asked({"host": "[::1]"}, "https"), "https://[::1]"),
        (Asked({}), "http://localhost"),
    ],
)
def test_the_service_is_where_the_caller_found_it(call: Any, url: str) -> None:  # noqa: ANN401  (no whole call)
    assert base(call) == url


def test_what_was_not_sent_is_none() -> None:
    assert told(msgspec.UNSET) is None
    assert [told(value) for value in ("", False, "x")] == ["", False, "x"]
