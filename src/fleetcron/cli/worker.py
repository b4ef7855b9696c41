"""``fleetcron worker``: what reaches the servers of one site, alone in this process; one of many, on NATS."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fleetcron.assembly.worker import DEFAULT_HEALTH_PORT, DRAIN_SECONDS, WorkerSettings, serve_worker
from fleetcron.cli.options import DATA_DIR, grouped
from fleetcron.cli.processes import (
    DRAIN_SECONDS_MAX,
    HEALTH_HOST,
    HealthHost,
    HealthPort,
    Line,
    Log,
    SettingsFile,
    announce,
    run_to_the_end,
)
from fleetcron.domain.fleet import DEFAULT_SITE

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@grouped
def worker(
    *,
    site: Annotated[
        str,
        typer.Option(envvar="FLEETCRON_SITE", help="The site whose endpoints it reaches; the fleet file names it."),
    ] = DEFAULT_SITE,
    line: Line,
    fleet: Annotated[
        Path,
        typer.Option(
            metavar="FILE", exists=True, dir_okay=False, help="The endpoints, in TOML; required.", show_default=False
        ),
    ],
    data_dir: Annotated[
        Path,
        typer.Option(envvar="FLEETCRON_DATA_DIR", file_okay=False, help="The folder of what drivers have to remember."),
    ] = DATA_DIR,
    file: SettingsFile,
    drain_seconds: Annotated[
        float,
        typer.Option(
            min=0,
            max=DRAIN_SECONDS_MAX,
            envvar="FLEETCRON_DRAIN_SECONDS",
            help="How long, once told to end, it lets operations end; it hands the rest to other workers.",
        ),
    ] = DRAIN_SECONDS,
    health_host: HealthHost = HEALTH_HOST,
    health_port: HealthPort = DEFAULT_HEALTH_PORT,
    log: Log,
) -> None:
    """Carry out operations on the servers of one site until interrupted. As many may run as you like.

    It needs no database, and nobody has to reach it: it dials out to NATS. How to sign in there is said in the settings
    file, in [nats], or in the URLs. The fleet file needs no more than the endpoints of the site.
    """
    log.begin()
    settings = WorkerSettings(
        site=site,
        nats=line.nats,
        fleet=fleet,
        data_dir=data_dir.expanduser().absolute(),
        config=file.config,
        health_host=health_host,
        health_port=health_port,
        drain_seconds=drain_seconds,
    )
    run_to_the_end(lambda: serve_worker(settings, lambda url: announce(url, what=f"The worker of site {site}")))
