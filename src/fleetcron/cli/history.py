"""``fleetcron history``: executions of a task, and their subtasks."""

from __future__ import annotations

from typing import Annotated

import typer

from fleetcron.cli import display
from fleetcron.cli.exits import Exit
from fleetcron.cli.following import (
    FOLLOW_SECONDS_DEFAULT,
    FOLLOW_SECONDS_MAX,
    await_execution,
    follow_to_end,
    newest_under_way,
)
from fleetcron.cli.options import Output, Place, Stretch, grouped
from fleetcron.cli.sign_in import signed_in
from fleetcron.domain.execution import Status
from fleetcron.wire import columns

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)

TaskId = Annotated[str, typer.Argument(metavar="TASK_ID", show_default=False)]


@app.command("list")
@grouped
def list_executions(
    task_id: TaskId,
    *,
    follow: Annotated[bool, typer.Option("--follow", help="Follow the newest one: as `history follow`.")] = False,
    stretch: Stretch,
    place: Place,
    output: Output,
) -> None:
    """List the executions of a task, newest first."""
    if follow:
        _follow(task_id, place, output, wait=False, seconds=FOLLOW_SECONDS_DEFAULT)
        return
    with signed_in(place) as client:
        reply = client.listing("ListTaskExecuteHistory", task_id, stretch=stretch)
    display.show_page(reply, columns.EXECUTIONS, json=output.json, noun="executions", offset=stretch.offset)


@app.command()
@grouped
def show(
    execution_id: Annotated[str, typer.Argument(metavar="EXECUTION_ID", show_default=False)],
    *,
    stretch: Stretch,
    place: Place,
    output: Output,
) -> None:
    """List the subtasks of an execution, one for each server."""
    with signed_in(place) as client:
        reply = client.listing("ListTaskExecuteDetail", execution_id, stretch=stretch)
    display.show_page(reply, columns.SUBTASKS, json=output.json, noun="subtasks", offset=stretch.offset)


@app.command()
@grouped
def follow(
    task_id: TaskId,
    *,
    wait: Annotated[bool, typer.Option("--wait", help="If none is under way, wait for the next one.")] = False,
    timeout: Annotated[
        int, typer.Option(min=1, max=FOLLOW_SECONDS_MAX, metavar="SECONDS", help="Follow no longer than this.")
    ] = FOLLOW_SECONDS_DEFAULT,
    place: Place,
    output: Output,
) -> None:
    """Follow the newest execution of a task to its end; exit code 1 if it FAILED."""
    _follow(task_id, place, output, wait=wait, seconds=timeout)


@app.command()
@grouped
def cancel(
    task_id: TaskId,
    execution_id: Annotated[str | None, typer.Argument(metavar="EXECUTION_ID", show_default=False)] = None,
    *,
    place: Place,
    output: Output,
) -> None:
    """Let an execution begin nothing more; what has begun runs to its end. By default the newest one under way."""
    with signed_in(place) as client:
        if execution_id is None:
            execution_id = newest_under_way(client, task_id).standing.id
        client.call("CancelTaskExecution", task_id, execution_id)
    display.show_done(f"Cancelled execution {execution_id}; what has begun runs to its end.", json=output.json)


def _follow(task_id: str, place: Place, output: Output, *, wait: bool, seconds: int) -> None:
    with signed_in(place) as client:
        seen = await_execution(client, task_id, wait=wait, seconds=seconds)
        last = follow_to_end(client, task_id, seen, console=display.console_of(err=output.json), seconds=seconds)
    if output.json:
        typer.echo(last.raw.decode())
    if last.standing.status is Status.FAILED:
        raise typer.Exit(Exit.FAILED)
