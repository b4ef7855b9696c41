"""``fleetcron key``: access keys, with which programs sign requests."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from fleetcron.cli import display
from fleetcron.cli.client import Reply
from fleetcron.cli.exits import Misuse
from fleetcron.cli.options import Consent, Output, grouped
from fleetcron.cli.sign_in import signed_in
from fleetcron.cli.user import id_of
from fleetcron.domain.access import TEMPORARY_KEY_SECONDS_MAX as SECONDS_MAX
from fleetcron.domain.access import TEMPORARY_KEY_SECONDS_MIN as SECONDS_MIN
from fleetcron.wire import columns

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)

UserOption = Annotated[str | None, typer.Option(metavar="USER", help="Whose, by name or id; by default your own.")]


@app.command("list")
@grouped
def list_keys(*, user: UserOption = None, output: Output) -> None:
    """List a user's access keys, without their secrets."""
    with signed_in() as client:
        reply = client.call("ListPermanentAccessKeys", query={"user_id": id_of(client, user) if user else None})
    if output.json:
        display.show_json(reply)
    else:
        display.show_rows(reply.read()["credentials"], columns.KEYS, noun="access keys")


@app.command()
@grouped
def create(
    *,
    user: UserOption = None,
    description: Annotated[str | None, typer.Option(help="A note of at most 255 characters.")] = None,
    temporary: Annotated[bool, typer.Option("--temporary", help="For yourself, and for a while.")] = False,
    seconds: Annotated[
        int | None, typer.Option(min=SECONDS_MIN, max=SECONDS_MAX, help="How long a temporary one is good.")
    ] = None,
    output: Output,
) -> None:
    """Create an access key. This is the only time that its secret is shown.

    A temporary one comes with a security token, which has to be sent along: export FLEETCRON_SECURITY_TOKEN.
    """
    if temporary:
        if user or description:
            raise Misuse("a temporary key is your own and has no note")
        reply = _create_temporary(seconds or SECONDS_MIN)
    elif seconds:
        raise Misuse("--seconds goes with --temporary")
    else:
        reply = _create(user, description)
    shown = columns.NEW_TEMPORARY_KEY if temporary else columns.NEW_KEY
    display.show_one(reply, shown, json=output.json, inside="credential")
    if not output.json:
        typer.echo("The secret key is not shown again.", err=True)


@app.command()
@grouped
def delete(
    access_keys: Annotated[list[str], typer.Argument(metavar="ACCESS_KEY", show_default=False)],
    *,
    consent: Consent,
    output: Output,
) -> None:
    """Delete access keys; what is signed with them is refused from then on."""
    consent.ask(f"Delete {', '.join(access_keys)}?", on_terminal=sys.stdin.isatty())
    with signed_in() as client:
        for access_key in dict.fromkeys(access_keys):
            client.call("DeletePermanentAccessKey", access_key)
    display.show_done(f"Deleted {', '.join(access_keys)}.", json=output.json)


def _create(user: str | None, description: str | None) -> Reply:
    with signed_in() as client:
        said = {"user_id": id_of(client, user) if user else None, "description": description}
        credential = {field: value for field, value in said.items() if value is not None}
        return client.call("CreatePermanentAccessKey", body={"credential": credential})


def _create_temporary(seconds: int) -> Reply:
    identity = {"methods": ["token"], "token": {"duration_seconds": seconds}}
    with signed_in() as client:
        return client.call("CreateTemporaryAccessKeyByToken", body={"auth": {"identity": identity}})
