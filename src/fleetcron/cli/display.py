"""Answers on the screen: tables whose ids stay whole, records line by line, or the API's JSON as it is."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fleetcron.cli.client import Reply
from fleetcron.wire.columns import Column, Shape

PIPED_WIDTH = 10_000
"""Into a pipe or a file a row is one line, however long."""

TEXT_WIDTH_MIN = 11
"""Names and messages are folded down to this width before a column is left out."""

GAP = 2
NOTHING = "-"


def show_page(reply: Reply, columns: Sequence[Column], *, json: bool, noun: str, offset: int = 0) -> None:
    """Print a list's answer: a table and which stretch of the whole it is.

    Into a pipe the stretch is not said among the rows but on standard error, and only if more follows.
    """
    if json:
        show_json(reply)
        return
    page = reply.read()
    show_rows(page["items"], columns, noun=noun)
    shown = len(page["items"])
    more = offset + shown < page["count"]
    if shown and (more or sys.stdout.isatty()):
        stretch = f"{offset + 1} to {offset + shown} of {page['count']} {noun}"
        typer.echo(f"{stretch}; --all for all" if more else stretch, err=not sys.stdout.isatty())


def show_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column], *, noun: str) -> None:
    """Print a table of these rows; on a terminal without blank columns, and without the last ones that do not fit."""
    if not rows:
        typer.echo(f"No {noun}.", err=True)
        return
    console = console_of()
    cells = {column: [text_of(row, column) for row in rows] for column in columns}
    if console.is_terminal:
        cells = {column: texts for column, texts in cells.items() if set(texts) != {NOTHING}}
    fitting = _fitting(cells, console.width)
    # A terminal narrower than an id may break the line, but nothing may cut it.
    console.width = max(console.width, _least(fitting[0], cells[fitting[0]]))
    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="bold")
    for column in fitting:
        folds = column.shape is Shape.TEXT
        table.add_column(
            Text(column.heading),
            justify="right" if column.shape is Shape.NUMBER else "left",
            no_wrap=not folds,
            overflow="fold",
            min_width=_least(column, cells[column]),
        )
    for row in zip(*(cells[column] for column in fitting), strict=True):
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    _print(console, table)
    missing = ", ".join(column.heading for column in cells if column not in fitting)
    if missing:
        typer.echo(f"(too narrow for: {missing})", err=True)


def show_record(record: Mapping[str, Any], columns: Sequence[Column]) -> None:
    """Print one thing, a line for each field that it has."""
    known = [(column.heading, text) for column in columns if (text := text_of(record, column)) != NOTHING]
    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for heading, text in known:
        table.add_row(Text(heading), Text(text, style=_STYLES.get(text, "")))
    _print(console_of(), table)


def show_one(reply: Reply, columns: Sequence[Column], *, json: bool, inside: str | None = None) -> None:
    """Print the answer's one thing, which may stand ``inside`` a field of it."""
    if json:
        show_json(reply)
        return
    record = reply.read()
    show_record(record if inside is None else record[inside], columns)


def show_done(text: str, *, json: bool) -> None:
    """Say that it is done, where the API answers nothing; as JSON that is ``null``."""
    typer.echo("null" if json else text)


def show_json(reply: Reply) -> None:
    """Print an answer's JSON as the API wrote it."""
    typer.echo(reply.body.decode())


def console_of(*, err: bool = False) -> Console:
    """Where to print: the terminal at its width, or a stream with no end to its lines."""
    stream = sys.stderr if err else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else PIPED_WIDTH, highlight=False)


def text_of(record: Mapping[str, Any], column: Column) -> str:
    """What the column shows of the record; control characters, which could steer the terminal, are replaced."""
    value: Any = record
    for part in column.field.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if value in (None, "", column.blank):
        return NOTHING
    if column.shape is Shape.INSTANT:
        return printable(str(value)[:_SECONDS].replace("T", " "))
    return _say(value)


def printable(text: str) -> str:
    """The text with everything that is not printable replaced; line ends stay."""
    return "".join(one if one.isprintable() or one == "\n" else "\N{REPLACEMENT CHARACTER}" for one in text)


_SECONDS: Final = len("2026-01-31T03:30:00")
_STYLES: Final = {"SUCCESS": "green", "FAILED": "red", "RUNNING": "cyan", NOTHING: "dim"}


def _print(console: Console, table: Table) -> None:
    """Print a table without the blanks that fill up its last column."""
    with console.capture() as printed:
        console.print(table)
    typer.echo("\n".join(line.rstrip() for line in printed.get().splitlines()))


def _say(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case Mapping():
            return " ".join(_say(one) for one in value.values())
        case list():
            return "\n".join(_say(one) for one in value)
        case _:
            return printable(str(value))


def _fitting(cells: Mapping[Column, Sequence[str]], width: int) -> list[Column]:
    """The columns that stand beside each other whole; the first always does."""
    fitting: list[Column] = []
    left = width + GAP
    for column, texts in cells.items():
        left -= _least(column, texts) + GAP
        if left < 0 and fitting:
            break
        fitting.append(column)
    return fitting


def _least(column: Column, texts: Iterable[str]) -> int:
    """The width below which the column must not go."""
    widest = max(len(line) for text in (column.heading, *texts) for line in text.split("\n"))
    return max(len(column.heading), min(widest, TEXT_WIDTH_MIN)) if column.shape is Shape.TEXT else widest
