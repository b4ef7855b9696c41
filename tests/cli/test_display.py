"""Tables keep ids whole whatever the width, and steer no terminal."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcron.cli import display
from fleetcron.wire.columns import EXECUTIONS, SUBTASKS, TASKS, Column, Shape

UUID = "01a20d5b-c6cd-725a-bc52-b35458f15b8e"
TASK = {
    "id": UUID,
    "task_name": "n" * 64,
    "next_execution_time": "2026-11-25 03:30:00 GMT+01:00",
    "last_status": "SUCCESS",
    "task_type": "RESTART_SERVER",
    "is_enable": True,
}


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A terminal without colours, to be given a width by COLUMNS."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("NO_COLOR", "1")
    return monkeypatch


@pytest.mark.parametrize("width", [20, 80, 120, 200])
def test_ids_stay_whole_and_lines_fit(
    width: int, terminal: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal.setenv("COLUMNS", str(width))
    display.show_rows([TASK], TASKS, noun="tasks")
    out, err = capsys.readouterr()
    assert UUID in out if width >= len(UUID) else UUID[:width] in out
    assert max(len(line) for line in out.splitlines()) <= width
    assert ("too narrow for: " in err) == (width < 200)


def test_a_row_of_the_history_fits_80_columns(terminal: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    terminal.setenv("COLUMNS", "80")
    names = [column.field for column in EXECUTIONS]
    display.show_rows(
        [dict(zip(names, [UUID, "RUNNING", 1000, 999, 1, 0], strict=False))], EXECUTIONS, noun="executions"
    )
    assert capsys.readouterr().out.splitlines()[1].split() == [UUID, "RUNNING", "1000", "999", "1", "0"]


def test_into_a_pipe_a_row_is_one_line_with_every_column(capsys: pytest.CaptureFixture[str]) -> None:
    message = "word " * 50
    row = {"server_id": UUID, "server_name": "n", "status": "FAILED", "result_message": message}
    display.show_rows([row], SUBTASKS, noun="subtasks")
    heading, line = capsys.readouterr().out.splitlines()
    assert all(column.heading in heading for column in SUBTASKS)
    assert message.strip() in line


def test_columns_that_are_blank_throughout_leave_room_on_a_terminal(
    terminal: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal.setenv("COLUMNS", "80")
    display.show_rows([{"server_id": "s1", "status": "SUCCESS", "server_name": "n"}], SUBTASKS, noun="subtasks")
    assert capsys.readouterr() == ("Server  Status   Name\ns1      SUCCESS  n\n", "")


@given(text=st.text())
def test_nothing_that_is_shown_steers_the_terminal(text: str) -> None:
    assert all(one.isprintable() or one == "\n" for one in display.text_of({"x": text}, Column("X", "x", Shape.TEXT)))


@pytest.mark.parametrize(
    ("value", "shape", "shown"),
    [
        (None, Shape.LABEL, "-"),
        ("", Shape.TEXT, "-"),
        (True, Shape.LABEL, "yes"),
        (0, Shape.NUMBER, "0"),
        ("2026-11-24T11:42:03.037Z", Shape.INSTANT, "2026-11-24 11:42:03"),
        ([{"a": "SERVER", "b": "s1"}, {"a": "SERVER", "b": "s2"}], Shape.LABEL, "SERVER s1\nSERVER s2"),
        ("null", Shape.LABEL, "null"),
    ],
)
def test_values_are_shown_for_people(value: Any, shape: Shape, shown: str) -> None:
    assert display.text_of({"x": {"y": value}}, Column("X", "x.y", shape)) == shown


def test_a_text_that_says_nothing_is_blank() -> None:
    assert display.text_of({"x": "null"}, Column("X", "x", blank="null")) == "-"
    assert display.text_of({"x": "not an object"}, Column("X", "x.y")) == "-"


def test_a_record_has_a_line_for_each_field_that_it_has(capsys: pytest.CaptureFixture[str]) -> None:
    display.show_record({"id": UUID, "task_name": "[bold]nightly"}, TASKS)
    assert capsys.readouterr().out == f"ID    {UUID}\nName  [bold]nightly\n"
