"""Options of the commands that run something until they are told to end, and how such a command ends."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from fleetcron.cli.exits import Exit, Failure, Misuse
from fleetcron.errors import BadSettings, Unavailable

PORT_MAX: Final = 65_535
DRAIN_SECONDS_MAX: Final = 3_600
HEALTH_HOST: Final = "127.0.0.1"

LOG_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class LogLevel(StrEnum):
    """From what weight on something is written to standard error."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class Log:
    """What a process that runs tells of itself."""

    log_level: Annotated[LogLevel, typer.Option(help="What is logged, to standard error.")] = LogLevel.INFO

    def begin(self) -> None:
        """Log from now on."""
        logging.basicConfig(level=self.log_level.upper(), format=LOG_FORMAT)


@dataclass(frozen=True, kw_only=True)
class SettingsFile:
    """The file of finer settings."""

    config: Annotated[
        Path | None, typer.Option(metavar="FILE", exists=True, dir_okay=False, help="Finer settings, in TOML.")
    ] = None


@dataclass(frozen=True, kw_only=True)
class Record:
    """Which PostgreSQL is the system of record."""

    database: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="FLEETCRON_DATABASE",
            help="PostgreSQL, as postgresql://user@host/name. Put a URL with a password into the environment: "
            "arguments are seen by every user of the machine.",
        ),
    ] = None

    def url(self) -> str:
        """The URL.

        Raises:
            Misuse: there is none.
        """
        if not self.database:
            raise Misuse("no database: set FLEETCRON_DATABASE, or use --database")
        return self.database


@dataclass(frozen=True, kw_only=True)
class Line:
    """Which NATS is the line between engines and workers."""

    nats: Annotated[
        str | None,
        typer.Option(
            metavar="URLS",
            envvar="FLEETCRON_NATS",
            help="The NATS servers, as nats://host:4222, with commas between them; else as the settings file says. Put "
            "URLs with a password into the environment: arguments are seen by every user of the machine.",
        ),
    ] = None


HealthHost = Annotated[
    str,
    typer.Option(envvar="FLEETCRON_HEALTH_HOST", help="The address of /health/live and /health/ready."),
]
HealthPort = Annotated[
    int,
    typer.Option(min=0, max=PORT_MAX, envvar="FLEETCRON_HEALTH_PORT", help="Their port; 0 takes any free one."),
]


def run_to_the_end(run: Callable[[], None]) -> None:
    """Run something that lasts.

    Raises:
        Failure: it cannot start as it is set, or what it stands on does not answer.
    """
    try:
        run()
    except (BadSettings, OSError) as error:
        raise Failure(Exit.USAGE, str(error)) from error
    except Unavailable as error:
        raise Failure(Exit.UNAVAILABLE, str(error)) from error


def announce(url: str, *, what: str) -> None:
    """Say that something runs, and where its health is: a pipe is read by somebody who waits for it."""
    print(f"{what} is running. Health: {url}/health/ready", flush=True)  # noqa: T201  (for whoever started it)
