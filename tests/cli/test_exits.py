"""The exit codes are what docs/cli.md promises to scripts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fleetcron.cli.exits import Exit, Misuse, exit_of

DOCS = Path(__file__).resolve().parents[2] / "docs" / "cli.md"


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, 6), (401, 3), (403, 4), (404, 5), (405, 6), (409, 6), (413, 6), (415, 6), (429, 7), (500, 7), (503, 7)],
)
def test_each_status_of_the_api_has_an_exit_code(status: int, code: int) -> None:
    assert exit_of(status) == code


def test_misuse_is_told_by_its_own_code() -> None:
    assert Misuse("say when").code == 2


def test_the_documents_list_every_exit_code_and_no_other() -> None:
    listed = re.findall(r"^\| `(\d)` \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert listed == [str(int(code)) for code in Exit]
