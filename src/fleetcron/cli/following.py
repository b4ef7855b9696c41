"""Following a running execution: a progress bar on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from fleetcron.cli.client import Client, Page, Unreachable
from fleetcron.cli.exits import Exit, Failure
from fleetcron.wire.columns import Standing
from fleetcron.wire.fields import PAGE_MAX

POLL_SECONDS = 1.0
FOLLOW_SECONDS_DEFAULT = 12 * 3600
# A token lasts 24 hours: whoever follows for longer would end signed out.
FOLLOW_SECONDS_MAX = 23 * 3600

UNREACHABLE_SECONDS_MAX = 30.0
"""So long the service may be away (it is restarted, say) before following is given up."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """An execution as it was last seen: its standing, and its row of the API as it came."""

    standing: Standing
    raw: bytes


def await_execution(client: Client, task_id: str, *, wait: bool, seconds: float) -> Seen:
    """The newest execution; with ``wait``, the next one if it has ended already or there is none.

    Raises:
        Failure: there is none, or none came in time; or as in ``Client.call``.
    """
    newest = _newest(client, task_id)
    if newest is not None and not (wait and newest.standing.is_final):
        return newest
    if not wait:
        raise Failure(Exit.NOT_FOUND, f"task {task_id} has no execution yet; --wait waits for the first")
    ended = newest.standing.id if newest else None
    for found in _polled(lambda: _newest(client, task_id), seconds=seconds):
        if found is not None and found.standing.id != ended:
            return found
    raise Failure(Exit.FAILED, f"no execution began within {seconds:g} s")


def newest_under_way(client: Client, task_id: str) -> Seen:
    """The newest execution that has not ended.

    Raises:
        Failure: there is none among the newest of the task; or as in ``Client.call``.
    """
    found = next((one for one in _seen(client, task_id, limit=PAGE_MAX) if not one.standing.is_final), None)
    if found is None:
        raise Failure(Exit.NOT_FOUND, f"task {task_id} has no execution under way")
    return found


def follow_to_end(client: Client, task_id: str, seen: Seen, *, console: Console, seconds: float) -> Seen:
    """Show how an execution goes on until it is final; returns it as it then is.

    Raises:
        Failure: it did not end in time, or is gone; or as in ``Client.call``.
    """
    with (_bar if console.is_terminal else _lines)(console) as tell:
        tell(seen.standing)
        if seen.standing.is_final:
            return seen
        for found in _polled(lambda: _find(client, task_id, seen.standing.id), seconds=seconds):
            tell(found.standing)
            if found.standing.is_final:
                return found
    raise Failure(Exit.FAILED, f"execution {seen.standing.id} did not end within {seconds:g} s")


def say_standing(standing: Standing) -> str:
    """One line: the status and the counters; what is not mentioned waits."""
    return (
        f"{standing.status}: {standing.succeeded + standing.failed} of {standing.total} ended, "
        f"{standing.succeeded} succeeded, {standing.failed} failed, {standing.running} running"
    )


Tell = Callable[[Standing], None]
Found = TypeVar("Found")


@contextmanager
def _bar(console: Console) -> Iterator[Tell]:
    counters = TextColumn(
        "[green]{task.fields[succeeded]} ok [red]{task.fields[failed]} failed [cyan]{task.fields[running]} running"
    )
    columns = (TextColumn("{task.fields[status]}"), BarColumn(), TextColumn("{task.completed}/{task.total}"), counters)
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        bar = progress.add_task("", status="", succeeded=0, failed=0, running=0)

        def tell(standing: Standing) -> None:
            progress.update(
                bar,
                total=standing.total,
                completed=standing.succeeded + standing.failed,
                status=standing.status.value,
                succeeded=standing.succeeded,
                failed=standing.failed,
                running=standing.running,
            )

        yield tell


@contextmanager
def _lines(console: Console) -> Iterator[Tell]:
    said = ""

    def tell(standing: Standing) -> None:
        nonlocal said
        line = f"{standing.id} {say_standing(standing)}"
        if line != said:
            console.out(line, highlight=False)
            said = line

    yield tell


def _polled(look: Callable[[], Found], *, seconds: float) -> Iterator[Found]:
    """Look again and again, for so long; a service that is away for a moment is waited for."""
    until = time.monotonic() + seconds
    away_since: float | None = None
    while time.monotonic() < until:
        time.sleep(POLL_SECONDS)
        try:
            found = look()
        except Unreachable:
            away_since = away_since or time.monotonic()
            if time.monotonic() - away_since > UNREACHABLE_SECONDS_MAX:
                raise
        else:
            away_since = None
            yield found


def _newest(client: Client, task_id: str) -> Seen | None:
    return next(iter(_seen(client, task_id, limit=1)), None)


def _find(client: Client, task_id: str, execution_id: str) -> Seen:
    """The execution among the newest: others of the task may have begun since."""
    found = next((one for one in _seen(client, task_id, limit=PAGE_MAX) if one.standing.id == execution_id), None)
    if found is None:
        raise Failure(Exit.NOT_FOUND, f"execution {execution_id} is no longer among the newest {PAGE_MAX} of the task")
    return found


def _seen(client: Client, task_id: str, *, limit: int) -> list[Seen]:
    page = msgspec.json.decode(client.call("ListTaskExecuteHistory", task_id, query={"limit": limit}).body, type=Page)
    return [Seen(standing=msgspec.json.decode(raw, type=Standing), raw=bytes(raw)) for raw in page.items]
