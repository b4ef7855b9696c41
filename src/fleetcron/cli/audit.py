"""``fleetcron audit``: what was changed and what was refused, by whom and from where."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
import typer

from fleetcron.cli import display
from fleetcron.cli.client import Client, Reply
from fleetcron.cli.exits import Exit, Failure, Misuse
from fleetcron.cli.options import Output, grouped
from fleetcron.cli.sign_in import signed_in
from fleetcron.domain.audit import PAGE_MAX
from fleetcron.wire import audit as wire

SHOWN_DEFAULT = 20
SHOWN_MAX = 10_000

PAGES_MAX = 100_000
"""Pages that one command fetches; older records have to be asked for with --until."""

app = typer.Typer(add_completion=False, rich_markup_mode=None)

When = Annotated[
    str | None,
    typer.Option(metavar="WHEN", help="A date or time (UTC unless it says otherwise), or so long ago: 90m, 24h, 7d."),
]


class _Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the log, its records as they came."""

    records: list[msgspec.Raw]
    next_marker: int | None = None


@app.command()
@grouped
def audit(
    *,
    since: When = None,
    until: When = None,
    user: Annotated[str | None, typer.Option(help="Only of this user, by name or id.")] = None,
    operation: Annotated[str | None, typer.Option(metavar="ID", help="Only of this operation of the API.")] = None,
    denied: Annotated[bool, typer.Option("--denied", help="Only what was refused.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=SHOWN_MAX, help="Show so many.")] = SHOWN_DEFAULT,
    show_all: Annotated[bool, typer.Option("--all", help="Show all that there are.")] = False,
    ndjson: Annotated[bool, typer.Option("--ndjson", help="Print each record as JSON on a line of its own.")] = False,
    output: Output,
) -> None:
    """Show the audit log, newest first: every change, and every call that was refused."""
    now = datetime.now(UTC)
    query = {
        "since": instant_of(since, now),
        "until": instant_of(until, now),
        "user": user,
        "operation": operation,
        "decision": wire.Decision.REFUSED if denied else None,
    }
    with signed_in() as client:
        records = _records(client, query, None if show_all else limit)
        if ndjson:
            # As they come: an export may be larger than the memory.
            for record in records:
                typer.echo(bytes(record).decode())
            return
        body = msgspec.json.encode({"records": list(records)})
    reply = Reply(body=body, headers={})
    if output.json:
        display.show_json(reply)
        return
    found = reply.read()["records"]
    display.show_rows(found, wire.COLUMNS, noun="audit records")
    if len(found) == limit and not show_all:
        typer.echo(f"The newest {limit}; --all for all", err=True)


def instant_of(text: str | None, now: datetime) -> str | None:
    """The instant that is meant, as the API reads it.

    Raises:
        Misuse: it is neither a date or time nor a length of time.
    """
    if not text:
        return None
    ago = _AGO.fullmatch(text)
    try:
        said = now - timedelta(**{_UNITS[ago["unit"]]: int(ago["number"])}) if ago else datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise Misuse(f"{text!r} is no time: say 2026-01-31, 2026-01-31T03:30:00Z, 90m, 24h or 7d") from error
    return (said if said.tzinfo else said.replace(tzinfo=UTC)).isoformat()


_AGO: Final = re.compile(r"(?P<number>[0-9]{1,9})(?P<unit>[smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def _records(client: Client, query: Mapping[str, Any], shown_max: int | None) -> Iterator[msgspec.Raw]:
    """The records, page after page; a page may be short before the end."""
    shown, marker = 0, None
    for _ in range(PAGES_MAX):
        asked = PAGE_MAX if shown_max is None else min(PAGE_MAX, shown_max - shown)
        reply = client.call(wire.LIST, query={**query, "marker": marker, "limit": asked})
        page = msgspec.json.decode(reply.body, type=_Page)
        yield from page.records
        shown, marker = shown + len(page.records), page.next_marker
        if marker is None or shown == shown_max:
            return
    raise Failure(Exit.REFUSED, f"there are more than {PAGES_MAX} pages: ask for the rest with --until")
