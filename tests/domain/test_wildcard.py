"""Patterns with wildcards match as a shell's do, and never take long about it."""

from __future__ import annotations

import time
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcron.domain.wildcard import wildcards

SECONDS_MAX = 1.0

# Few letters, so that patterns and texts often meet; the rest means something to a regular expression or a shell.
patterns = st.text(alphabet="aab*?:[.\n", max_size=12)
texts = st.text(alphabet="aab*:[.\n", max_size=12)


def shell_match(pattern: str, text: str) -> bool:
    return fnmatchcase(text, pattern.replace("[", "[[]"))


@given(pattern=patterns, text=texts)
def test_a_pattern_matches_as_a_shells_does(pattern: str, text: str) -> None:
    assert wildcards([pattern]).match(text) is shell_match(pattern, text)


@given(listed=st.lists(patterns, max_size=4), text=texts)
def test_several_match_where_one_does(listed: list[str], text: str) -> None:
    assert wildcards(listed).match(text) is any(shell_match(pattern, text) for pattern in listed)


@given(
    segments=st.lists(st.text(alphabet="ab*?", min_size=1, max_size=4), min_size=3, max_size=3),
    text=st.text(alphabet="aab::", max_size=12),
)
def test_before_the_colons_a_wildcard_stays_in_its_segment(segments: list[str], text: str) -> None:
    parts = text.split(":", 2)
    expected = len(parts) == 3 and all(map(shell_match, segments, parts))
    assert wildcards([":".join(segments)], colons=2).match(text) is expected


@given(text=texts)
def test_a_lone_star_matches_everything_however_many_colons(text: str) -> None:
    assert wildcards(["*"], colons=4).match(text)


def test_an_identifier_with_colons_does_not_pass_for_another_type() -> None:
    groups = wildcards(["workspace:*:*:serverGroup:*"], colons=4)
    assert groups.match("workspace:r:a:serverGroup:1")
    assert not groups.match("workspace:r:a:server:x:serverGroup:1")


@pytest.mark.parametrize("pattern", ["*a" * 100 + "*b", "*?a" * 80 + "*b", "a*" * 100 + "b", "*" * 200 + "b"])
def test_many_stars_take_no_longer_than_few(pattern: str) -> None:
    begun = time.process_time()
    assert not wildcards([pattern]).match("a" * 10_000 + "c")
    assert time.process_time() - begun < SECONDS_MAX


def test_a_wildcard_stands_for_a_line_end_too() -> None:
    assert wildcards(["a?*b"]).match("a\n\nb")
