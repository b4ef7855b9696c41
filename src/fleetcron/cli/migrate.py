"""``fleetcron migrate``: the schema of a PostgreSQL that several machines will share, and its months ahead."""

from __future__ import annotations

from contextlib import closing

import typer

from fleetcron.assembly.databases import open_database
from fleetcron.assembly.extras import require_extra
from fleetcron.cli.options import grouped
from fleetcron.cli.processes import Record, run_to_the_end
from fleetcron.store.partitions import make_ahead

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@grouped
def migrate(*, record: Record) -> None:
    """Bring the schema of the database up to date, and make the months ahead in which history will lie.

    Run it before the first start, and with every new version; it may be run at any time and by several at once.
    """
    run_to_the_end(lambda: bring_up_to_date(record.url()))


def bring_up_to_date(url: str) -> None:
    """Migrate, and say what was done."""
    require_extra("psycopg", "database")
    from fleetcron.store.postgresql import migrate as take_steps  # noqa: PLC0415  (a library that may be missing)

    steps = take_steps(url)
    with closing(open_database(url, connections_max=1)) as database:
        parts = make_ahead(database, database.now())
    typer.echo(f"Took the steps {', '.join(map(str, steps))}." if steps else "The schema is up to date.")
    if parts:
        typer.echo(f"Made {', '.join(parts)}.")
