"""``fleetcron engine``: what goes by the clock, alone in this process; one of many, on PostgreSQL and NATS."""

from __future__ import annotations

import typer

from fleetcron.assembly.engine import DEFAULT_HEALTH_PORT, EngineSettings, serve_engine
from fleetcron.cli.options import grouped
from fleetcron.cli.processes import (
    HEALTH_HOST,
    HealthHost,
    HealthPort,
    Line,
    Log,
    Record,
    SettingsFile,
    announce,
    run_to_the_end,
)

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@grouped
def engine(
    *,
    record: Record,
    line: Line,
    file: SettingsFile,
    health_host: HealthHost = HEALTH_HOST,
    health_port: HealthPort = DEFAULT_HEALTH_PORT,
    log: Log,
) -> None:
    """Let fires become executions until interrupted. As many may run as you like; they share the work.

    All go by the database's clock, and get the same settings file. How to sign in to NATS is said there, in [nats], or
    in the URLs.
    """
    log.begin()
    settings = EngineSettings(
        database=record.url(),
        nats=line.nats,
        config=file.config,
        health_host=health_host,
        health_port=health_port,
    )
    run_to_the_end(lambda: serve_engine(settings, lambda url: announce(url, what="The engine")))
