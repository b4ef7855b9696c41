"""``fleetcron user``: users of the account. A user is named by its name or its id."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from fleetcron.cli import display
from fleetcron.cli.client import Client
from fleetcron.cli.exits import Misuse
from fleetcron.cli.options import Consent, Output, grouped
from fleetcron.cli.sign_in import signed_in
from fleetcron.wire import columns

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)

UserName = Annotated[str, typer.Argument(metavar="USER", show_default=False)]
FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the new password from the first line of standard input.")
]


@app.command("list")
@grouped
def list_users(
    *, name: Annotated[str | None, typer.Option(help="Only the user of this name.")] = None, output: Output
) -> None:
    """List users."""
    with signed_in() as client:
        reply = client.call("KeystoneListUsers", query={"name": name})
    if output.json:
        display.show_json(reply)
    else:
        display.show_rows(reply.read()["users"], columns.USERS, noun="users")


@app.command()
@grouped
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False)],
    *,
    password_stdin: FromStdin = False,
    no_password: Annotated[bool, typer.Option("--no-password", help="None: the user has access keys only.")] = False,
    description: Annotated[str | None, typer.Option(help="A note of at most 255 characters.")] = None,
    output: Output,
) -> None:
    """Create a user. The password is asked for, or read from FLEETCRON_NEW_PASSWORD or standard input."""
    password = None if no_password else new_password(name, from_stdin=password_stdin)
    said = {"name": name, "password": password, "description": description}
    with signed_in() as client:
        body = {"user": {field: value for field, value in said.items() if value is not None}}
        reply = client.call("KeystoneCreateUser", body=body)
    display.show_one(reply, columns.USERS, json=output.json, inside="user")


@app.command()
@grouped
def delete(
    users: Annotated[list[str], typer.Argument(metavar="USER", show_default=False)],
    *,
    consent: Consent,
    output: Output,
) -> None:
    """Delete users with their access keys and tokens."""
    consent.ask(f"Delete {', '.join(users)}?", on_terminal=sys.stdin.isatty())
    with signed_in() as client:
        for user_id in [id_of(client, user) for user in dict.fromkeys(users)]:
            client.call("KeystoneDeleteUser", user_id)
    display.show_done(f"Deleted {', '.join(users)}.", json=output.json)


@app.command("set-password")
@grouped
def set_password(user: UserName, *, password_stdin: FromStdin = False, output: Output) -> None:
    """Give a user a new password; all of its tokens end."""
    _update(user, {"password": new_password(user, from_stdin=password_stdin)}, output)


@app.command()
@grouped
def enable(user: UserName, *, output: Output) -> None:
    """Let a user sign in again."""
    _update(user, {"enabled": True}, output)


@app.command()
@grouped
def disable(user: UserName, *, output: Output) -> None:
    """Let a user sign in no more; all of its tokens end."""
    _update(user, {"enabled": False}, output)


def id_of(client: Client, user: str) -> str:
    """The id of the user of this name, or else the text as an id."""
    named = client.call("KeystoneListUsers", query={"name": user}).read()["users"]
    return str(named[0]["id"]) if named else user


def new_password(user: str, *, from_stdin: bool) -> str:
    """A new password for a user: out of standard input or the environment, or typed twice; never an argument.

    Raises:
        Misuse: there is none, and no terminal to ask at.
    """
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    known = os.environ.get("FLEETCRON_NEW_PASSWORD")
    if known:
        return known
    if not sys.stdin.isatty():
        raise Misuse("no password: use --password-stdin, or set FLEETCRON_NEW_PASSWORD")
    return str(typer.prompt(f"New password of {user}", hide_input=True, confirmation_prompt=True, err=True))


def _update(user: str, changes: dict[str, object], output: Output) -> None:
    with signed_in() as client:
        reply = client.call("KeystoneUpdateUserByAdmin", id_of(client, user), body={"user": changes})
    display.show_one(reply, columns.USERS, json=output.json, inside="user")
