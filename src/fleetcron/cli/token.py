"""``fleetcron token``: tokens, with which requests are authenticated for a while."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import msgspec
import typer

from fleetcron.cli import display
from fleetcron.cli.exits import Misuse
from fleetcron.cli.options import Output, Place, grouped
from fleetcron.cli.sign_in import issue as issue_token
from fleetcron.cli.sign_in import signed_in, stranger
from fleetcron.wire import columns
from fleetcron.wire.tokens import SUBJECT_TOKEN

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)

FromStdin = Annotated[
    bool,
    typer.Option("--token-stdin", help="Read it from the first line of standard input, instead of FLEETCRON_TOKEN."),
]


@app.command()
@grouped
def issue(*, place: Place, output: Output) -> None:
    """Sign in by password and print a token: export FLEETCRON_TOKEN=$(fleetcron token issue).

    It is for the project that is named, or else for the whole account. With --json the token, which the API sends in a
    header, is added to the API's answer under the header's name.
    """
    with stranger() as client:
        reply = issue_token(client, place.project)
    token = reply.headers[SUBJECT_TOKEN]
    if output.json:
        typer.echo(msgspec.json.encode({**reply.read(), SUBJECT_TOKEN: token}))
        return
    typer.echo(token)
    typer.echo(f"Expires {reply.read()['token']['expires_at']}", err=True)


@app.command()
@grouped
def check(*, token_stdin: FromStdin = False, output: Output) -> None:
    """Say whose a token is, for what and until when; exit code 5 if it is none."""
    subject = _subject(from_stdin=token_stdin)
    with signed_in() as client:
        reply = client.call("KeystoneValidateToken", headers={SUBJECT_TOKEN: subject})
    display.show_one(reply, columns.TOKEN, json=output.json, inside="token")


@app.command()
@grouped
def revoke(*, token_stdin: FromStdin = False, output: Output) -> None:
    """End a token before its time."""
    subject = _subject(from_stdin=token_stdin)
    with signed_in() as client:
        client.call("KeystoneRevokeToken", headers={SUBJECT_TOKEN: subject})
    display.show_done("Revoked.", json=output.json)


def _subject(*, from_stdin: bool) -> str:
    """The token that is asked about; never an argument, for those are seen by every user of the machine."""
    token = sys.stdin.readline().strip() if from_stdin else os.environ.get("FLEETCRON_TOKEN", "")
    if not (token.isascii() and token.isprintable() and token):
        raise Misuse("no token: use --token-stdin, or set FLEETCRON_TOKEN")
    return token
