"""Tables keep ids whole whatever the width, and steer no terminal."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcron.cli import display
from fleetcron.cli.client import Reply
from fleetcron.wire.columns import EXECUTIONS, GROUPS, SUBTASKS, TASKS, Column, Shape

UUID = "01a20d5b-c6cd-725a-bc52-b35458f15b8e"
TASK = {
    "id": UUID,
    "task_name": "n" * 64,
    "next_execution_time": "2026-11-25 03:30:00 GMT+01:00",
    "last_status": "SUCCESS",
    "task_type": "RESTART_SERVER",
    "is_enable": True,
}


class Terminal(io.StringIO):
    """A terminal, and the lines that a person sees on it."""

    def isatty(self) -> bool:
        return True

    def lines(self) -> list[str]:
        return [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", self.getvalue()).splitlines()]


Screen = Callable[[int], Terminal]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """Let standard output be a terminal of so many columns."""

    def turn_on(width: int) -> Terminal:
        for name, value in {"COLUMNS": str(width), "TERM": "xterm"}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "stdout", Terminal())
        assert isinstance(sys.stdout, Terminal)
        return sys.stdout

    return turn_on


@pytest.mark.parametrize("width", [20, 80, 120, 200])
def test_ids_stay_whole_and_lines_fit(width: int, screen: Screen, capsys: pytest.CaptureFixture[str]) -> None:
    shown = screen(width)
    display.show_rows([TASK], TASKS, noun="tasks")
    assert UUID in shown.lines()[1]
    assert max(len(line) for line in shown.lines()) <= max(width, len(UUID))
    assert ("too narrow for: " in capsys.readouterr().err) == (width < 120)


def test_a_row_of_the_history_fits_80_columns(screen: Screen) -> None:
    shown = screen(80)
    names = [column.field for column in EXECUTIONS]
    row = dict(zip(names, [UUID, "RUNNING", 1000, 999, 1, 0], strict=False))
    display.show_rows([row], EXECUTIONS, noun="executions")
    assert shown.lines()[1].split() == [UUID, "RUNNING", "1000", "999", "1", "0"]


def test_into_a_pipe_a_row_is_one_line_with_every_column(capsys: pytest.CaptureFixture[str]) -> None:
    message = "word " * 50
    row = {"server_id": UUID, "server_name": "n", "status": "FAILED", "result_message": message}
    display.show_rows([row], SUBTASKS, noun="subtasks")
    heading, line = capsys.readouterr().out.splitlines()
    assert all(column.heading in heading for column in SUBTASKS)
    assert message.strip() in line


def test_columns_that_are_blank_throughout_leave_room_on_a_terminal(screen: Screen) -> None:
    shown = screen(80)
    display.show_rows([{"server_id": "s1", "status": "SUCCESS", "server_name": "n"}], SUBTASKS, noun="subtasks")
    assert shown.lines() == ["Server  Status   Name", "s1      SUCCESS  n"]


def test_a_terminal_says_which_stretch_of_the_list_it_shows(screen: Screen) -> None:
    shown = screen(80)
    reply = Reply(body=b'{"count":40,"items":[{"id":"lab","name":"Lab"}]}', headers={})
    display.show_page(reply, GROUPS, json=False, noun="groups", offset=10)
    assert shown.lines()[-1] == "11 to 11 of 40 groups; --all for all"
    display.show_page(reply, GROUPS, json=False, noun="groups", offset=39)
    assert shown.lines()[-1] == "40 to 40 of 40 groups"


def test_a_list_that_is_cut_says_so_beside_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    reply = Reply(body=b'{"count":40,"items":[{"id":"lab","name":"Lab"}]}', headers={})
    display.show_page(reply, GROUPS, json=False, noun="groups", offset=10)
    printed = capsys.readouterr()
    assert (len(printed.out.splitlines()), printed.err) == (2, "11 to 11 of 40 groups; --all for all\n")
    display.show_page(reply, GROUPS, json=False, noun="groups", offset=39)
    assert capsys.readouterr().err == ""


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
def test_values_are_shown_for_people(value: object, shape: Shape, shown: str) -> None:
    assert display.text_of({"x": {"y": value}}, Column("X", "x.y", shape)) == shown


def test_a_text_that_says_nothing_is_blank() -> None:
    assert display.text_of({"x": "null"}, Column("X", "x", blank="null")) == "-"
    assert display.text_of({"x": "not an object"}, Column("X", "x.y")) == "-"


def test_a_record_has_a_line_for_each_field_that_it_has(capsys: pytest.CaptureFixture[str]) -> None:
    display.show_record({"id": UUID, "task_name": "[bold]nightly"}, TASKS)
    assert capsys.readouterr().out == f"ID    {UUID}\nName  [bold]nightly\n"
