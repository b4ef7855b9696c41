"""``fleetcron policy``: what users who are no administrators may do. A policy is named by its name or its id."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from fleetcron.cli import display
from fleetcron.cli.client import Client, Reply
from fleetcron.cli.exits import Misuse
from fleetcron.cli.group import id_of as id_of_group
from fleetcron.cli.options import Consent, Output, Place, grouped
from fleetcron.cli.sign_in import signed_in
from fleetcron.cli.user import id_of as id_of_user
from fleetcron.wire import columns

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)

DOCUMENT_BYTES_MAX = 1024 * 1024
"""What is read of a file; the service takes much less, and says how much."""

PolicyName = Annotated[str, typer.Argument(metavar="POLICY", show_default=False)]
Document = Annotated[str, typer.Argument(metavar="FILE", show_default=False, help="The document, or - for stdin.")]


@dataclass(frozen=True, kw_only=True)
class Whose:
    """For whom a policy counts, and where."""

    user: Annotated[str | None, typer.Option(metavar="USER", help="For this user, by name or id.")] = None
    group: Annotated[str | None, typer.Option(metavar="GROUP", help="For all in this group, by name or id.")] = None
    # Unlike elsewhere not out of the environment: a policy must not count for less than was meant.
    project: Annotated[str | None, typer.Option(metavar="ID", help="In this project; by default in all.")] = None


@app.command("list")
@grouped
def list_policies(*, whose: Whose, output: Output) -> None:
    """List the policies that there are, or those that are attached to a user or a group in just this place."""
    with _signed_in(whose) as client:
        if whose.user or whose.group:
            reply = _call(client, whose, "KeystoneList{place}PermissionsFor{holder}")
        else:
            reply = client.call("KeystoneListPermissions")
    if output.json:
        display.show_json(reply)
    else:
        display.show_rows(reply.read()["roles"], columns.POLICIES, noun="policies")


@app.command()
@grouped
def show(policy: PolicyName, *, output: Output) -> None:
    """Show a policy with its document."""
    with signed_in() as client:
        reply = client.call("KeystoneShowPermission", id_of(client, policy))
    _show(reply, output)


@app.command()
@grouped
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False)],
    document: Document,
    *,
    description: Annotated[str | None, typer.Option(help="A note of at most 255 characters.")] = None,
    output: Output,
) -> None:
    """Create a policy out of a document in IAM's JSON, of version 5.0 or 1.1."""
    role: dict[str, object] = {"display_name": name, "type": "XA", "policy": _read(document)}
    if description is not None:
        role["description"] = description
    with signed_in() as client:
        reply = client.call("CreateCloudServiceCustomPolicy", body={"role": role})
    _show(reply, output)


@app.command()
@grouped
def update(policy: PolicyName, document: Document, *, output: Output) -> None:
    """Give a policy another document; it counts at once for all to whom the policy is attached."""
    with signed_in() as client:
        role = {"policy": _read(document)}
        reply = client.call("UpdateCloudServiceCustomPolicy", id_of(client, policy), body={"role": role})
    _show(reply, output)


@app.command()
@grouped
def delete(
    policies: Annotated[list[str], typer.Argument(metavar="POLICY", show_default=False)],
    *,
    consent: Consent,
    output: Output,
) -> None:
    """Delete policies that are attached to nobody."""
    consent.ask(f"Delete {', '.join(policies)}?", on_terminal=sys.stdin.isatty())
    with signed_in() as client:
        for policy_id in [id_of(client, policy) for policy in dict.fromkeys(policies)]:
            client.call("DeleteCustomPolicy", policy_id)
    display.show_done(f"Deleted {', '.join(policies)}.", json=output.json)


@app.command()
@grouped
def attach(policy: PolicyName, *, whose: Whose, output: Output) -> None:
    """Let a policy count for a user, or for all in a group."""
    with _signed_in(whose) as client:
        _call(client, whose, "KeystoneAssociate{holder}With{place}Permission", id_of(client, policy))
    display.show_done(f"Attached {policy} to {whose.user or whose.group}.", json=output.json)


@app.command()
@grouped
def detach(policy: PolicyName, *, whose: Whose, output: Output) -> None:
    """Let a policy count no more for a user or a group, in just this place."""
    with _signed_in(whose) as client:
        _call(client, whose, "KeystoneRemove{place}PermissionFrom{holder}", id_of(client, policy))
    display.show_done(f"Detached {policy} from {whose.user or whose.group}.", json=output.json)


def id_of(client: Client, policy: str) -> str:
    """The id of the policy of this name, or else the text as an id."""
    named = client.call("KeystoneListPermissions", query={"display_name": policy}).read()["roles"]
    return str(named[0]["id"]) if named else policy


def _signed_in(whose: Whose) -> AbstractContextManager[Client]:
    return signed_in(Place(project=whose.project))


def _call(client: Client, whose: Whose, operation_id: str, *policy: str) -> Reply:
    """Call the operation on attachments that fits; its id has gaps for the kinds of holder and of place.

    Raises:
        Misuse: not one of a user and a group is named.
    """
    if (whose.user is None) == (whose.group is None):
        raise Misuse("name either --user or --group")
    holder_id = id_of_user(client, whose.user) if whose.user else id_of_group(client, whose.group or "")
    holder = "User" if whose.user else "Group"
    if whose.project:
        return client.call(operation_id.format(holder=holder, place="Project"), holder_id, *policy)
    domain_id = str(client.call("KeystoneListAuthDomains").read()["domains"][0]["id"])
    return client.call(operation_id.format(holder=holder, place="Domain"), domain_id, holder_id, *policy)


def _read(document: str) -> msgspec.Raw:
    """The JSON in a file, to the character.

    Raises:
        Misuse: it cannot be read, or is no JSON.
    """
    try:
        with nullcontext(sys.stdin.buffer) if document == "-" else Path(document).open("rb") as file:
            text = file.read(DOCUMENT_BYTES_MAX)
        msgspec.json.decode(text)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Misuse(f"{document} cannot be read as JSON: {error}") from error
    return msgspec.Raw(text)


def _show(reply: Reply, output: Output) -> None:
    display.show_one(reply, columns.POLICIES, json=output.json, inside="role")
    if not output.json:
        role = msgspec.json.decode(reply.body, type=dict[str, dict[str, msgspec.Raw]])["role"]
        typer.echo(display.printable(msgspec.json.format(bytes(role["policy"]), indent=2).decode()))
