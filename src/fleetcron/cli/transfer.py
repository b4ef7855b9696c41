"""``fleetcron import``: from one process on SQLite to many machines on PostgreSQL, history and all."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fleetcron.assembly.extras import require_extra
from fleetcron.cli.exits import Misuse
from fleetcron.cli.options import grouped
from fleetcron.cli.processes import Record, run_to_the_end
from fleetcron.store.sqlite import FILE_NAME
from fleetcron.store.vault import KEYS_NAME

SCHEME: Final = "sqlite:"
TOLD: Final = {
    "users": "users",
    "tasks": "tasks",
    "executions": "executions",
    "subtasks": "subtasks",
    "audit": "audit records",
}

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("import")
@grouped
def import_(
    *,
    source: Annotated[
        str,
        typer.Option(
            "--from", metavar="sqlite:FOLDER", help="The data folder of the service that ran in one process; stop it."
        ),
    ],
    record: Record,
) -> None:
    """Move everything that a service in one process has kept into an empty database, after `fleetcron migrate`.

    It is all or nothing, and the folder stays as it is. Take its file of keys along: without it, secrets stay sealed.
    """
    folder = _folder(source)
    url = record.url()
    run_to_the_end(lambda: _import(folder, url))


def _import(folder: Path, url: str) -> None:
    require_extra("psycopg", "database")
    from fleetcron.store.transfer import move  # noqa: PLC0415  (a library that may be missing)

    with _Bar.shown() as bar:
        moved = move(folder, url, bar.tell)
    typer.echo(f"Moved {', '.join(f'{moved.rows[table]} {noun}' for table, noun in TOLD.items())}.")
    if moved.texts_mended:
        typer.echo(f"In {moved.texts_mended} texts a NUL became \N{REPLACEMENT CHARACTER}: PostgreSQL cannot keep it.")
    typer.echo(
        f"Now copy the file of keys, by default {folder / KEYS_NAME}, to every machine of the API,\n"
        "readable to the service alone, and set FLEETCRON_SECRET_KEYS_FILE to its place.\n"
        "Do not start the old service while any of the new processes runs: both would act on the same servers.\n"
        "The way back is to end all of them first; the old one does not know what they have done."
    )


def _folder(source: str) -> Path:
    """The data folder that was named, itself or by the database in it."""
    if not source.startswith(SCHEME):
        raise Misuse(f"--from must be {SCHEME}FOLDER, the data folder of the service")
    path = Path(source.removeprefix(SCHEME)).expanduser().absolute()
    return path.parent if path.name == FILE_NAME else path


class _Bar:
    """How far it is, on a terminal; nothing elsewhere."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._rows = progress.add_task("", total=None)

    @classmethod
    @contextmanager
    def shown(cls) -> Iterator[_Bar]:
        """Show it until the block ends."""
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
            yield cls(progress)

    def tell(self, table: str, moved: int, total: int) -> None:
        """Say how many rows of a table have been moved."""
        self._progress.update(self._rows, description=table, completed=moved, total=total)
