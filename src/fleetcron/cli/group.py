"""``fleetcron group``: groups of users. A group is named by its name or its id, and so is a user."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from fleetcron.cli import display
from fleetcron.cli.client import Client
from fleetcron.cli.options import Consent, Output, grouped
from fleetcron.cli.sign_in import signed_in
from fleetcron.cli.user import id_of as id_of_user
from fleetcron.wire import columns

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)

GroupName = Annotated[str, typer.Argument(metavar="GROUP", show_default=False)]
UserNames = Annotated[list[str], typer.Argument(metavar="USER", show_default=False)]


@app.command("list")
@grouped
def list_groups(
    *,
    user: Annotated[str | None, typer.Option(metavar="USER", help="Only those that this user is in.")] = None,
    output: Output,
) -> None:
    """List groups of users."""
    with signed_in() as client:
        if user is None:
            reply = client.call("KeystoneListGroups")
        else:
            reply = client.call("KeystoneListGroupsForUser", id_of_user(client, user))
    if output.json:
        display.show_json(reply)
    else:
        display.show_rows(reply.read()["groups"], columns.USER_GROUPS, noun="groups")


@app.command()
@grouped
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False)],
    *,
    description: Annotated[str | None, typer.Option(help="A note of at most 255 characters.")] = None,
    output: Output,
) -> None:
    """Create a group that nobody is in."""
    said = {"name": name, "description": description}
    with signed_in() as client:
        body = {"group": {field: value for field, value in said.items() if value is not None}}
        reply = client.call("KeystoneCreateGroup", body=body)
    display.show_one(reply, columns.USER_GROUPS, json=output.json, inside="group")


@app.command()
@grouped
def delete(
    groups: Annotated[list[str], typer.Argument(metavar="GROUP", show_default=False)],
    *,
    consent: Consent,
    output: Output,
) -> None:
    """Delete groups, and what is attached to them; their users stay."""
    consent.ask(f"Delete {', '.join(groups)}?", on_terminal=sys.stdin.isatty())
    with signed_in() as client:
        for group_id in [id_of(client, group) for group in dict.fromkeys(groups)]:
            client.call("KeystoneDeleteGroup", group_id)
    display.show_done(f"Deleted {', '.join(groups)}.", json=output.json)


@app.command()
@grouped
def members(group: GroupName, *, output: Output) -> None:
    """List the users in a group."""
    with signed_in() as client:
        reply = client.call("KeystoneListUsersForGroupByAdmin", id_of(client, group))
    if output.json:
        display.show_json(reply)
    else:
        display.show_rows(reply.read()["users"], columns.USERS, noun="users")


@app.command()
@grouped
def add(group: GroupName, users: UserNames, *, output: Output) -> None:
    """Put users into a group."""
    _each(group, users, "KeystoneAddUserToGroup")
    display.show_done(f"{', '.join(users)}: in {group}.", json=output.json)


@app.command()
@grouped
def remove(group: GroupName, users: UserNames, *, output: Output) -> None:
    """Take users out of a group."""
    _each(group, users, "KeystoneRemoveUserFromGroup")
    display.show_done(f"{', '.join(users)}: no longer in {group}.", json=output.json)


def id_of(client: Client, group: str) -> str:
    """The id of the group of this name, or else the text as an id."""
    named = client.call("KeystoneListGroups", query={"name": group}).read()["groups"]
    return str(named[0]["id"]) if named else group


def _each(group: str, users: list[str], operation_id: str) -> None:
    with signed_in() as client:
        group_id = id_of(client, group)
        for user_id in [id_of_user(client, user) for user in dict.fromkeys(users)]:
            client.call(operation_id, group_id, user_id)
