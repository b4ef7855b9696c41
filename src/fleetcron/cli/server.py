"""``fleetcron server``: servers and server groups, and operating on servers at once."""

from __future__ import annotations

import sys
from typing import Annotated, Final

import typer

from fleetcron.cli import display
from fleetcron.cli.exits import Exit, Misuse
from fleetcron.cli.options import Consent, Output, Place, Stretch, grouped
from fleetcron.cli.sign_in import signed_in
from fleetcron.wire import columns
from fleetcron.wire.fleet import BATCH_MAX, REINSTALL_BATCH_MAX, Force

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)

ServerIds = Annotated[list[str], typer.Argument(metavar="SERVER_ID", show_default=False)]
Hard = Annotated[bool, typer.Option("--hard", help="By force, and although people use it.")]


@app.command("list")
@grouped
def list_servers(
    *,
    name: Annotated[str | None, typer.Option(help="Only names that contain this.")] = None,
    group: Annotated[str | None, typer.Option(metavar="ID", help="Only servers of this group.")] = None,
    stretch: Stretch,
    place: Place,
    output: Output,
) -> None:
    """List servers."""
    with signed_in(place) as client:
        query = {"server_name": name, "server_group_id": group}
        reply = client.listing("ListServers", query=query, stretch=stretch)
    display.show_page(reply, columns.SERVERS, json=output.json, noun="servers", offset=stretch.offset)


@app.command()
@grouped
def show(
    server_id: Annotated[str, typer.Argument(metavar="SERVER_ID", show_default=False)], *, place: Place, output: Output
) -> None:
    """Show one server."""
    with signed_in(place) as client:
        reply = client.call("ShowServer", server_id)
    display.show_one(reply, columns.SERVERS, json=output.json)


@app.command()
@grouped
def groups(
    *,
    name: Annotated[str | None, typer.Option(help="Only names that contain this.")] = None,
    stretch: Stretch,
    place: Place,
    output: Output,
) -> None:
    """List server groups."""
    with signed_in(place) as client:
        reply = client.listing("ListServerGroups", query={"server_group_name": name}, stretch=stretch)
    display.show_page(reply, columns.GROUPS, json=output.json, noun="groups", offset=stretch.offset)


@app.command()
@grouped
def start(server_ids: ServerIds, *, place: Place, output: Output) -> None:
    """Start servers at once."""
    _operate("BatchStartServer", "start", server_ids, place, output, hard=None)


@app.command()
@grouped
def stop(server_ids: ServerIds, *, hard: Hard = False, place: Place, output: Output) -> None:
    """Stop servers at once; one that people use is left alone unless --hard."""
    _operate("BatchStopServer", "stop", server_ids, place, output, hard=hard)


@app.command()
@grouped
def restart(server_ids: ServerIds, *, hard: Hard = False, place: Place, output: Output) -> None:
    """Restart servers at once; one that people use is left alone unless --hard."""
    _operate("BatchRebootServer", "restart", server_ids, place, output, hard=hard)


@app.command()
@grouped
def reinstall(server_ids: ServerIds, *, consent: Consent, place: Place, output: Output) -> None:
    """Reinstall servers at once: what is on their disks is lost. Exit code 1 if one of them is unknown."""
    server_ids = _each_once(server_ids, REINSTALL_BATCH_MAX)
    consent.demand(f"Reinstall {_counted(server_ids)}? What is on their disks is lost.", on_terminal=sys.stdin.isatty())
    with signed_in(place) as client:
        reply = client.call("BatchReinstallServer", body={"server_ids": server_ids})
    jobs = reply.read()["items"]
    if output.json:
        display.show_json(reply)
    else:
        display.show_rows(jobs, columns.JOBS, noun="servers")
    if any(job["error_code"] for job in jobs):
        raise typer.Exit(Exit.FAILED)


def _operate(
    operation_id: str, deed: str, server_ids: list[str], place: Place, output: Output, *, hard: bool | None
) -> None:
    server_ids = _each_once(server_ids, BATCH_MAX)
    force = {} if hard is None else {"type": Force.HARD if hard else Force.SOFT}
    with signed_in(place) as client:
        client.call(operation_id, body={"items": server_ids, **force})
    display.show_done(f"Asked to {deed} {_counted(server_ids)}. {_NO_OUTCOME}", json=output.json)


_NO_OUTCOME: Final = (
    "The API does not show how that ends; `fleetcron server list` shows what is under way. "
    "A task has a history, and so has `server reinstall`."
)


def _each_once(server_ids: list[str], most: int) -> list[str]:
    once = list(dict.fromkeys(server_ids))
    if len(once) > most:
        raise Misuse(f"{most} servers at most; {len(once)} were given")
    return once


def _counted(server_ids: list[str]) -> str:
    return "1 server" if len(server_ids) == 1 else f"{len(server_ids)} servers"
