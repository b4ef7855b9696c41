"""``fleetcron serve``: the whole service in this process, until it is told to end."""

from __future__ import annotations

import logging
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fleetcron.assembly import Settings, Welcome
from fleetcron.assembly import serve as run
from fleetcron.assembly.settings import DEFAULT_HOST, DEFAULT_PORT
from fleetcron.cli.exits import Exit, Failure
from fleetcron.cli.options import DATA_DIR
from fleetcron.cli.welcome import kept_secrets, program_name, welcome_text, write_sign_in_file
from fleetcron.errors import BadSettings

log = logging.getLogger(__name__)

PORT_MAX = 65_535

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class LogLevel(StrEnum):
    """From what weight on something is written to standard error."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@app.command()
def serve(
    *,
    host: Annotated[
        str, typer.Option(envvar="FLEETCRON_HOST", help="The address to listen on.", show_default=True)
    ] = DEFAULT_HOST,
    port: Annotated[
        int, typer.Option(min=0, max=PORT_MAX, envvar="FLEETCRON_PORT", help="The port; 0 takes any free one.")
    ] = DEFAULT_PORT,
    data_dir: Annotated[
        Path,
        typer.Option(envvar="FLEETCRON_DATA_DIR", file_okay=False, help="The folder of everything that must be kept."),
    ] = DATA_DIR,
    fleet: Annotated[
        Path | None, typer.Option(metavar="FILE", exists=True, dir_okay=False, help="The servers, in TOML.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", exists=True, dir_okay=False, help="Finer settings, in TOML.")
    ] = None,
    tls_certificate: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar="FLEETCRON_TLS_CERTIFICATE",
            dir_okay=False,
            help="Serve https with this certificate and its chain, in PEM.",
        ),
    ] = None,
    tls_key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", envvar="FLEETCRON_TLS_KEY", dir_okay=False, help="The certificate's key, in PEM."),
    ] = None,
    keys_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar="FLEETCRON_SECRET_KEYS_FILE",
            dir_okay=False,
            help="Where the keys lie that seal secrets; beside the database if not said.",
        ),
    ] = None,
    sign_in_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", dir_okay=False, help="Write how to sign in to this file, for a shell to read."),
    ] = None,
    log_level: Annotated[LogLevel, typer.Option(help="What is logged, to standard error.")] = LogLevel.INFO,
) -> None:
    """Run the service until it is interrupted.

    At the first start it makes an administrator, an access key and a project, and shows their secrets once. To choose
    them, set FLEETCRON_ADMIN_PASSWORD, FLEETCRON_ACCESS_KEY with FLEETCRON_SECRET_KEY, or FLEETCRON_PROJECT_ID.
    """
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = Settings(
        data_dir=data_dir.expanduser().absolute(),
        host=host,
        port=port,
        fleet=fleet,
        config=config,
        admin_password=os.environ.get("FLEETCRON_ADMIN_PASSWORD"),
        access_key=os.environ.get("FLEETCRON_ACCESS_KEY"),
        secret_key=os.environ.get("FLEETCRON_SECRET_KEY"),
        project_id=os.environ.get("FLEETCRON_PROJECT_ID"),
        tls_certificate=tls_certificate,
        tls_key=tls_key,
        secret_keys=keys_file,
    )

    def announce(welcome: Welcome) -> None:
        written = None if sign_in_file is None else _written(sign_in_file, welcome)
        said = welcome_text(welcome, written, program=program_name(sys.argv[0]))
        # A pipe is read by somebody who waits for the address.
        print(said, flush=True)  # noqa: T201  (for whoever started the service)

    try:
        if sign_in_file is not None:
            kept_secrets(sign_in_file)
        run(settings, announce)
    except (BadSettings, OSError) as error:
        raise Failure(Exit.USAGE, str(error)) from error


def _written(sign_in_file: Path, welcome: Welcome) -> Path | None:
    """Write the file; a disk that is full must not keep the secrets off the screen, which shows them only now."""
    try:
        write_sign_in_file(sign_in_file, welcome)
    except OSError as error:
        log.error("the sign-in file is not written: %s", error)  # noqa: TRY400  (the reason is enough)
        return None
    return sign_in_file
