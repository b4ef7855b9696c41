"""Patterns with wildcards, as policies write them for actions, resources and texts."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec


class Wildcards(msgspec.Struct, frozen=True, kw_only=True):
    """Patterns in which ``*`` stands for any run of characters and ``?`` for exactly one.

    A match takes at most the pattern's length times the text's, whatever both are.
    """

    everything: bool
    exact: frozenset[str]
    prefixes: tuple[str, ...]
    glob: re.Pattern[str] | None

    def match(self, text: str) -> bool:
        """Whether one of the patterns covers the whole text; case counts."""
        if self.everything or text in self.exact:
            return True
        if self.prefixes and text.startswith(self.prefixes):
            return True
        return self.glob is not None and self.glob.fullmatch(text) is not None


def wildcards(patterns: Iterable[str], *, colons: int = 0) -> Wildcards:
    """The patterns, ready to match.

    In what stands before a pattern's first ``colons`` colons a wildcard stays within its own segment, so that no
    identifier with a colon in it can pass for a different type of thing.
    """
    listed = frozenset(patterns)
    exact = frozenset(pattern for pattern in listed if "*" not in pattern and "?" not in pattern)
    prefixes = tuple(pattern[:-1] for pattern in listed if _is_prefix(pattern))
    rest = sorted(pattern for pattern in listed - exact if not _is_prefix(pattern))
    glob = re.compile("|".join(_expression(pattern, colons) for pattern in rest), re.DOTALL) if rest else None
    return Wildcards(everything="*" in listed, exact=exact, prefixes=prefixes, glob=glob)


def _is_prefix(pattern: str) -> bool:
    fixed = pattern[:-1]
    return pattern.endswith("*") and "*" not in fixed and "?" not in fixed


def _expression(pattern: str, colons: int) -> str:
    *segments, last = pattern.split(":", colons)
    return ":".join([*(_glob(segment, "[^:]") for segment in segments), _glob(last, ".")])


def _glob(pattern: str, one: str) -> str:
    first, *rest = (_literal(run, one) for run in pattern.split("*"))
    if not rest:
        return first
    *middle, last = rest
    # The first place where a run of the middle fits is as good as any later one. An atomic group never looks for
    # another, which is what keeps *a*a*a*b from taking time without end.
    return first + "".join(f"(?>{one}*?{run})" for run in middle if run) + f"{one}*{last}"


def _literal(run: str, one: str) -> str:
    return "".join(one if character == "?" else re.escape(character) for character in run)
