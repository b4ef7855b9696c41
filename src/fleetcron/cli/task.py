"""``fleetcron task``: scheduled tasks."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final

import typer

from fleetcron.cli import display
from fleetcron.cli.exits import Misuse
from fleetcron.cli.options import Consent, Output, Place, Stretch, grouped
from fleetcron.cli.schedule import When
from fleetcron.cli.sign_in import signed_in
from fleetcron.domain.task import TargetKind, TaskType
from fleetcron.wire import columns
from fleetcron.wire.tasks import BATCH_DELETE_MAX, NAMES

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)

TaskId = Annotated[str, typer.Argument(metavar="TASK_ID", show_default=False)]


class Deed(StrEnum):
    """What a task does, in everyday words."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"
    REINSTALL = "reinstall"


TYPES: Final = {
    Deed.START: TaskType.START_SERVER,
    Deed.STOP: TaskType.STOP_SERVER,
    Deed.RESTART: TaskType.RESTART_SERVER,
    Deed.REINSTALL: TaskType.REINSTALL_OS,
}

TypeOption = Annotated[Deed | None, typer.Option("--type", help="What is done to each server.")]


@dataclass(frozen=True, kw_only=True)
class What:
    """The options that say what is done to which targets; what is None or empty was not said."""

    type: TypeOption = None
    server: Annotated[list[str] | None, typer.Option(metavar="ID", help="A server; may be said again.")] = None
    group: Annotated[list[str] | None, typer.Option(metavar="ID", help="A server group; may be said again.")] = None
    enforce: Annotated[
        bool | None,
        typer.Option("--enforce/--no-enforce", help="Go on although people use a server.", show_default=False),
    ] = None
    description: Annotated[str | None, typer.Option(help="A note of at most 255 characters.")] = None

    def demand(self) -> None:
        """See that a whole task is said.

        Raises:
            Misuse: the type or every target is missing.
        """
        if self.type is None:
            raise Misuse(f"say what is done: --type {'|'.join(Deed)}")
        if not (self.server or self.group):
            raise Misuse("say to what it is done: --server ID or --group ID")

    def fields(self) -> dict[str, object]:
        """What is said, by the wire's names."""
        kinds = {TargetKind.SERVER: self.server or (), TargetKind.SERVER_GROUP: self.group or ()}
        targets = [{"target_type": kind.value, "target_id": one} for kind, ids in kinds.items() for one in ids]
        said = {
            "task_type": None if self.type is None else TYPES[self.type].value,
            "targets": targets or None,
            "enforcement": None if self.enforce is None else columns.say_enforcement(self.enforce),
            "description": self.description,
        }
        return {NAMES[name]: value for name, value in said.items() if value is not None}


@app.command("list")
@grouped
def list_tasks(
    *,
    name: Annotated[str | None, typer.Option(help="Only names that contain this.")] = None,
    kind: TypeOption = None,
    stretch: Stretch,
    place: Place,
    output: Output,
) -> None:
    """List tasks, newest first."""
    query = {NAMES["name"]: name, NAMES["task_type"]: None if kind is None else TYPES[kind].value}
    with signed_in(place) as client:
        reply = client.listing("ListScheduleTasks", query=query, stretch=stretch)
    display.show_page(reply, columns.TASKS, json=output.json, noun="tasks", offset=stretch.offset)


@app.command()
@grouped
def show(task_id: TaskId, *, place: Place, output: Output) -> None:
    """Show one task with its targets."""
    with signed_in(place) as client:
        reply = client.call("ShowScheduleTask", task_id)
    display.show_one(reply, columns.TASK, json=output.json)


@app.command()
@grouped
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False)],
    *,
    what: What,
    when: When,
    place: Place,
    output: Output,
) -> None:
    """Create a task; it is enabled at once.

    \b
    fleetcron task create nightly --type restart --group lab --daily --at 03:30 --zone Europe/Berlin
    """  # noqa: D301  (the library wants the character itself: what follows is not wrapped)
    what.demand()
    when.demand()
    body = {NAMES["name"]: name, **what.fields(), **when.fields()}
    with signed_in(place) as client:
        reply = client.call("CreateScheduleTask", body=body)
    display.show_one(reply, columns.TASK, json=output.json)


@app.command()
@grouped
def update(
    task_id: TaskId,
    *,
    name: Annotated[str | None, typer.Option(help="A new name.")] = None,
    what: What,
    when: When,
    place: Place,
    output: Output,
) -> None:
    """Change what is said of a task; an empty text clears (--expires "", --description "")."""
    body = {**({} if name is None else {NAMES["name"]: name}), **what.fields(), **when.fields()}
    if not body:
        raise Misuse("say what is to be different")
    _update(task_id, body, place, output)


@app.command()
@grouped
def enable(task_id: TaskId, *, place: Place, output: Output) -> None:
    """Let a task fire again, counted anew from now."""
    _update(task_id, {NAMES["enabled"]: True}, place, output)


@app.command()
@grouped
def disable(task_id: TaskId, *, place: Place, output: Output) -> None:
    """Let a task fire no more until it is enabled."""
    _update(task_id, {NAMES["enabled"]: False}, place, output)


@app.command()
@grouped
def delete(
    task_ids: Annotated[list[str], typer.Argument(metavar="TASK_ID", show_default=False)],
    *,
    consent: Consent,
    place: Place,
    output: Output,
) -> None:
    """Delete tasks; what is under way is finished. Unknown ids are passed over."""
    task_ids = list(dict.fromkeys(task_ids))
    counted = "1 task" if len(task_ids) == 1 else f"{len(task_ids)} tasks"
    consent.ask(f"Delete {counted}?", on_terminal=sys.stdin.isatty())
    with signed_in(place) as client:
        if len(task_ids) == 1:
            client.call("DeleteScheduleTask", task_ids[0])
        for begin in range(0, len(task_ids), BATCH_DELETE_MAX) if len(task_ids) > 1 else ():
            client.call("BatchDeleteScheduleTask", body={"items": task_ids[begin : begin + BATCH_DELETE_MAX]})
    display.show_done(f"Asked to delete {counted}.", json=output.json)


@app.command("next")
@grouped
def next_fires(*, when: When, place: Place, output: Output) -> None:
    """Say when a schedule would fire next, without creating anything.

    \b
    fleetcron task next --monthly 1,L --at 03:30 --zone America/New_York
    """  # noqa: D301  (the library wants the character itself: what follows is not wrapped)
    when.demand()
    with signed_in(place) as client:
        reply = client.call("ListFutureExecutions", body=when.fields())
    if output.json:
        display.show_json(reply)
        return
    for fire in reply.read()[columns.FIRES]:
        typer.echo(display.printable(fire))


def _update(task_id: str, body: dict[str, object], place: Place, output: Output) -> None:
    with signed_in(place) as client:
        reply = client.call("UpdateScheduleTask", task_id, body=body)
    display.show_one(reply, columns.TASK, json=output.json)
