"""``fleetcron secrets``: the keys with which secrets are sealed; at the service's machine, while that is stopped."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from fleetcron.assembly.databases import open_database
from fleetcron.cli.exits import Exit, Failure
from fleetcron.cli.options import DATA_DIR, grouped
from fleetcron.cli.processes import Record, run_to_the_end
from fleetcron.store.database import Database
from fleetcron.store.sqlite import FILE_NAME, SqliteDatabase
from fleetcron.store.vault import new_key
from fleetcron.store.vault import rotate as rotate_keys

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.command()
def key() -> None:
    """Print a fresh key, for a file that FLEETCRON_SECRET_KEYS_FILE names."""
    typer.echo(new_key())


@app.command()
@grouped
def rotate(
    *,
    data_dir: Annotated[
        Path, typer.Option(envvar="FLEETCRON_DATA_DIR", file_okay=False, help="The service's folder.")
    ] = DATA_DIR,
    keys_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar="FLEETCRON_SECRET_KEYS_FILE",
            dir_okay=False,
            help="The file of keys; by default secret.keys in that folder.",
        ),
    ] = None,
    drop_old: Annotated[
        bool,
        typer.Option("--drop-old", help="Forget the old keys; then old copies of the database lose their secrets."),
    ] = False,
    record: Record,
) -> None:
    """Seal every secret with a new key. Stop the service before: it must not write meanwhile.

    Of many machines, stop the API on all of them, and give them the changed file before they start. Where a database is
    named it is that one; else the one in the folder.
    """

    def run() -> None:
        with closing(_opened(record.database, data_dir.expanduser().absolute())) as database:
            count = rotate_keys(database, keys_file, drop_old=drop_old)
        typer.echo(f"Sealed {count} secrets with a new key.")

    run_to_the_end(run)


def _opened(url: str | None, folder: Path) -> Database:
    if url:
        return open_database(url, connections_max=1)
    if not (folder / FILE_NAME).exists():
        raise Failure(Exit.USAGE, f"there is no database in {folder}")
    return SqliteDatabase(folder)
