"""``fleetcron``: the commands by name. Each lives in the module of its name, imported when it is asked for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_command

from fleetcron.cli.exits import Failure

COMMANDS: Final = {
    "serve": "Run the service.",
    "api": "Of many machines: answer people.",
    "engine": "Of many machines: let fires become executions.",
    "worker": "Of many machines: carry out operations on the servers of a site.",
    "migrate": "Of many machines: bring the database's schema up to date.",
    "import": "Of many machines: move in with what one machine has kept.",
    "secrets": "Keys that seal secrets; for while the service is stopped.",
    "task": "Scheduled tasks: what is done to which servers, and when.",
    "history": "Executions of a task, and their subtasks; follow a running one.",
    "server": "Servers and server groups; operate on servers at once.",
    "user": "Users of the account.",
    "group": "Groups of users.",
    "policy": "Policies: what users may do, and to whom they are attached.",
    "key": "Access keys, with which programs sign requests.",
    "audit": "What was changed and what was refused, by whom and from where.",
    "token": "Tokens, with which requests are authenticated for a while.",
}


# A module cannot have the name of a keyword.
MODULES: Final = {"import": "transfer"}


class Lazy(TyperGroup):
    """Names and summaries at once, the commands themselves on demand: ``--help`` and completion stay quick."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002  (the library keeps its context's type to itself)
        """Say the names in the order in which they are helpful."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401, ARG002  (as above)
        """Give what is enough to be listed."""
        return TyperGroup(name=cmd_name, help=COMMANDS[cmd_name]) if cmd_name in COMMANDS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:  # noqa: ANN401  (as above)
        """Give the command itself."""
        name, command, rest = super().resolve_command(ctx, args)
        if name is None or command is None:
            return name, command, rest
        return name, load(name), rest


def load(name: str) -> Any:  # noqa: ANN401  (as above)
    """The command of this name, one of COMMANDS."""
    command = get_command(import_module(f"fleetcron.cli.{MODULES.get(name, name)}").app)
    command.help = command.help or COMMANDS[name]
    return command


def _show_version(asked: bool) -> None:  # noqa: FBT001  (the library calls it so)
    if asked:
        typer.echo(f"fleetcron {version('fleetcron')}")
        raise typer.Exit


# Help in boxes would need a Markdown and a syntax library, which take three times as long as all the rest.
app = typer.Typer(cls=Lazy, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.callback()
def fleetcron(
    *,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Scheduled operations on fleets of servers.

    The commands ask the service at FLEETCRON_URL (default http://127.0.0.1:8774); over https, FLEETCRON_CA_FILE names
    the certificates to trust instead of the usual ones, in PEM.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, by default the process's own; ends with SystemExit."""
    try:
        app(args=arguments, prog_name="fleetcron")
    except Failure as failure:
        typer.secho(f"Error: {failure}", err=True, fg="red" if sys.stderr.isatty() else None)
        raise SystemExit(int(failure.code)) from None
