"""``fleetcron key``: access keys, with which programs sign requests."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from fleetcron.cli import display
from fleetcron.cli.options import Consent, Output, grouped
from fleetcron.cli.sign_in import signed_in
from fleetcron.cli.user import id_of
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
    output: Output,
) -> None:
    """Create an access key. This is the only time that its secret is shown."""
    with signed_in() as client:
        said = {"user_id": id_of(client, user) if user else None, "description": description}
        credential = {field: value for field, value in said.items() if value is not None}
        reply = client.call("CreatePermanentAccessKey", body={"credential": credential})
    display.show_one(reply, columns.NEW_KEY, json=output.json, inside="credential")
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
