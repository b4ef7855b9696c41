"""Options of the commands that answer people, and what those who start one are told."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from fleetcron.assembly.api import Welcome
from fleetcron.assembly.settings import DEFAULT_HOST, DEFAULT_PORT
from fleetcron.cli.processes import PORT_MAX
from fleetcron.cli.welcome import kept_secrets, program_name, welcome_text, write_sign_in_file

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Front:
    """How people reach the service, and how those who start it learn to sign in."""

    host: Annotated[str, typer.Option(envvar="FLEETCRON_HOST", help="The address to listen on.", show_default=True)] = (
        DEFAULT_HOST
    )
    port: Annotated[
        int, typer.Option(min=0, max=PORT_MAX, envvar="FLEETCRON_PORT", help="The port; 0 takes any free one.")
    ] = DEFAULT_PORT
    fleet: Annotated[
        Path | None, typer.Option(metavar="FILE", exists=True, dir_okay=False, help="The servers, in TOML.")
    ] = None
    tls_certificate: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar="FLEETCRON_TLS_CERTIFICATE",
            dir_okay=False,
            help="Serve https with this certificate and its chain, in PEM.",
        ),
    ] = None
    tls_key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", envvar="FLEETCRON_TLS_KEY", dir_okay=False, help="The certificate's key, in PEM."),
    ] = None
    keys_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar="FLEETCRON_SECRET_KEYS_FILE",
            dir_okay=False,
            help="The keys that seal secrets; `fleetcron api` requires it, others take secret.keys in the data folder.",
        ),
    ] = None
    sign_in_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", dir_okay=False, help="Write how to sign in to this file, for a shell to read."),
    ] = None

    def settings(self) -> dict[str, Any]:
        """What ``DoorSettings`` says of this, and what of it is in the environment alone, because it is secret."""
        return {
            "host": self.host,
            "port": self.port,
            "fleet": self.fleet,
            "tls_certificate": self.tls_certificate,
            "tls_key": self.tls_key,
            "secret_keys": self.keys_file,
            "admin_password": os.environ.get("FLEETCRON_ADMIN_PASSWORD"),
            "access_key": os.environ.get("FLEETCRON_ACCESS_KEY"),
            "secret_key": os.environ.get("FLEETCRON_SECRET_KEY"),
            "project_id": os.environ.get("FLEETCRON_PROJECT_ID"),
        }

    def check_sign_in_file(self) -> None:
        """See that the file may be written.

        Raises:
            OSError, BadSettings: as in ``kept_secrets``.
        """
        if self.sign_in_file is not None:
            kept_secrets(self.sign_in_file)

    def announce(self, welcome: Welcome) -> None:
        """Tell whoever started the service how to sign in, on the screen and in the file."""
        written = None if self.sign_in_file is None else _written(self.sign_in_file, welcome)
        said = welcome_text(welcome, written, program=program_name(sys.argv[0]))
        # A pipe is read by somebody who waits for the address.
        print(said, flush=True)  # noqa: T201  (for whoever started the service)


def _written(sign_in_file: Path, welcome: Welcome) -> Path | None:
    """Write the file; a disk that is full must not keep the secrets off the screen, which shows them only now."""
    try:
        write_sign_in_file(sign_in_file, welcome)
    except OSError as error:
        log.error("the sign-in file is not written: %s", error)  # noqa: TRY400  (the reason is enough)
        return None
    return sign_in_file
