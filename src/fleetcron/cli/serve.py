"""``fleetcron serve``: the whole service in this process, until it is told to end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fleetcron.assembly.house import serve as run
from fleetcron.assembly.settings import Settings
from fleetcron.cli.front import Front
from fleetcron.cli.options import DATA_DIR, grouped
from fleetcron.cli.processes import Log, SettingsFile, run_to_the_end

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@grouped
def serve(
    *,
    data_dir: Annotated[
        Path,
        typer.Option(envvar="FLEETCRON_DATA_DIR", file_okay=False, help="The folder of everything that must be kept."),
    ] = DATA_DIR,
    front: Front,
    file: SettingsFile,
    log: Log,
) -> None:
    """Run the service until it is interrupted.

    At the first start it makes an administrator, an access key and a project, and shows their secrets once. To choose
    them, set FLEETCRON_ADMIN_PASSWORD, FLEETCRON_ACCESS_KEY with FLEETCRON_SECRET_KEY, or FLEETCRON_PROJECT_ID.
    """
    log.begin()
    settings = Settings(data_dir=data_dir.expanduser().absolute(), config=file.config, **front.settings())

    def start() -> None:
        front.check_sign_in_file()
        run(settings, front.announce)

    run_to_the_end(start)
