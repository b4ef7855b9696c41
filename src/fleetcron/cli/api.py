"""``fleetcron api``: what answers people, alone in this process; one of many, on PostgreSQL."""

from __future__ import annotations

from typing import Annotated

import typer

from fleetcron.assembly.api import DRAIN_SECONDS, ApiSettings, serve_api
from fleetcron.cli.front import Front
from fleetcron.cli.options import grouped
from fleetcron.cli.processes import DRAIN_SECONDS_MAX, Log, Record, SettingsFile, run_to_the_end

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@grouped
def api(
    *,
    record: Record,
    drain_seconds: Annotated[
        float,
        typer.Option(
            min=0,
            max=DRAIN_SECONDS_MAX,
            envvar="FLEETCRON_DRAIN_SECONDS",
            help="How long, once told to end, it still takes calls while it says that it is not ready.",
        ),
    ] = DRAIN_SECONDS,
    front: Front,
    file: SettingsFile,
    log: Log,
) -> None:
    """Answer people until interrupted: the API and the audit log, on the database that all machines share.

    All nodes of the API get the same fleet file, the same settings file and the same file of keys (--keys-file, which
    has to be said). The first that starts makes the account, as "fleetcron serve" does, and shows its secrets once.

    /health/live and /health/ready answer to everybody, at the same port.
    """
    log.begin()
    settings = ApiSettings(database=record.url(), config=file.config, drain_seconds=drain_seconds, **front.settings())

    def start() -> None:
        front.check_sign_in_file()
        serve_api(settings, front.announce)

    run_to_the_end(start)
