"""What the page about security says is held by a test, and that test is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))
ATTEMPTS = re.findall(
    r"^\| (?!Attempt|---)(?P<attempt>.+?) \| (?P<outcome>.+?) \| (?P<held>.+) \|$", PAGE, re.MULTILINE
)


def names_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


@pytest.mark.parametrize("path", sorted({path for path, _ in NAMED}))
def test_every_test_that_is_named_is_there(path: str) -> None:
    assert {name for where, name in NAMED if where == path} - names_in(path) == set()


@pytest.mark.parametrize(("attempt", "outcome", "held"), ATTEMPTS, ids=[attempt for attempt, _, _ in ATTEMPTS])
def test_every_attempt_is_held_by_a_test(attempt: str, outcome: str, held: str) -> None:
    # Nothing but names of tests: a word that is misspelt would be no name, and hold nothing.
    assert re.fullmatch(r"`tests/[\w/]+\.py::test_\w+`(, `tests/[\w/]+\.py::test_\w+`)*", held)


def test_every_row_of_the_page_is_an_attempt() -> None:
    tables = PAGE.count("| Attempt |")
    rows = [line for line in PAGE.splitlines() if line.startswith("|")]
    assert len(ATTEMPTS) == len(rows) - 2 * tables
    assert len(ATTEMPTS) > 40


@pytest.mark.parametrize(
    "path",
    ["tests/web/test_attempts.py", "tests/web/test_revocation.py", "tests/journeys/test_access_matrix.py"],
)
def test_every_attempt_that_is_tested_for_its_own_sake_is_on_the_page(path: str) -> None:
    assert names_in(path) - {name for where, name in NAMED if where == path} == set()
