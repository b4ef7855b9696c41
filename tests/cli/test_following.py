"""Following asks again until the end, through a short absence of the service and beside newer executions."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from rich.console import Console

from fleetcron.cli import following
from fleetcron.cli.client import Client, Unreachable
from fleetcron.cli.exits import Failure
from fleetcron.cli.following import await_execution, follow_to_end, newest_under_way


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "POLL_SECONDS", 0.001)


def a_row(key: str, status: str, *, ok: int = 0, failed: int = 0, running: int = 0) -> dict[str, Any]:
    counters = {"total_count": 3, "success_count": ok, "failed_count": failed, "excuting_count": running}
    return {"id": key, "status": status, **counters}


def client_of(*histories: list[dict[str, Any]] | None) -> Client:
    """A client whose service shows one history after the other, the last for ever; None is an absence."""
    left = list(histories)

    def answer(_request: httpx.Request) -> httpx.Response:
        history = left.pop(0) if len(left) > 1 else left[0]
        if history is None:
            raise httpx.ConnectError("away")
        return httpx.Response(200, json={"count": len(history), "items": history})

    return Client(httpx.Client(transport=httpx.MockTransport(answer), base_url="http://fleet.example"), "p1")


def followed(client: Client, *, terminal: bool = False) -> tuple[str, str]:
    """The final status, and what was printed."""
    console = Console(file=io.StringIO(), force_terminal=terminal, width=80, color_system=None)
    seen = await_execution(client, "t1", wait=False, seconds=10)
    last = follow_to_end(client, "t1", seen, console=console, seconds=10)
    printed: Callable[[], str] = console.file.getvalue  # type: ignore[attr-defined]
    return last.standing.status, printed()


def test_each_change_is_one_line_and_nothing_else_is() -> None:
    begun, half = [a_row("e1", "WAITING")], [a_row("e1", "RUNNING", ok=1, running=2)]
    status, printed = followed(client_of(begun, begun, half, half, [a_row("e1", "FAILED", ok=2, failed=1)]))
    assert status == "FAILED"
    assert printed.splitlines() == [
        "e1 WAITING: 0 of 3 ended, 0 succeeded, 0 failed, 0 running",
        "e1 RUNNING: 1 of 3 ended, 1 succeeded, 0 failed, 2 running",
        "e1 FAILED: 3 of 3 ended, 2 succeeded, 1 failed, 0 running",
    ]


def test_a_terminal_shows_a_bar() -> None:
    status, printed = followed(client_of([a_row("e1", "RUNNING")], [a_row("e1", "SUCCESS", ok=3)]), terminal=True)
    assert status == "SUCCESS"
    assert "3/3 3 ok 0 failed 0 running" in printed


def test_a_newer_execution_does_not_take_the_place_of_the_followed_one() -> None:
    newer = [a_row("e2", "RUNNING"), a_row("e1", "SUCCESS", ok=3)]
    assert followed(client_of([a_row("e1", "RUNNING")], newer))[0] == "SUCCESS"


def test_a_short_absence_of_the_service_is_waited_for() -> None:
    assert followed(client_of([a_row("e1", "RUNNING")], None, None, [a_row("e1", "SUCCESS", ok=3)]))[0] == "SUCCESS"


def test_a_long_absence_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "UNREACHABLE_SECONDS_MAX", 0.01)
    with pytest.raises(Unreachable):
        followed(client_of([a_row("e1", "RUNNING")], None))


def test_an_execution_that_is_gone_ends_it() -> None:
    with pytest.raises(Failure, match="no longer among"):
        followed(client_of([a_row("e1", "RUNNING")], []))


def test_waiting_passes_over_the_execution_that_has_ended() -> None:
    old, new = a_row("e1", "SUCCESS", ok=3), a_row("e2", "RUNNING")
    assert await_execution(client_of([old], [old], [new, old]), "t1", wait=True, seconds=10).standing.id == "e2"
    assert await_execution(client_of([], [new]), "t1", wait=True, seconds=10).standing.id == "e2"
    assert await_execution(client_of([new, old]), "t1", wait=True, seconds=10).standing.id == "e2"


def test_following_has_an_end() -> None:
    client = client_of([a_row("e1", "RUNNING")])
    seen = await_execution(client, "t1", wait=False, seconds=1)
    with pytest.raises(Failure, match="did not end within"):
        follow_to_end(client, "t1", seen, console=Console(file=io.StringIO()), seconds=0.05)


def test_the_newest_under_way_is_none_that_has_ended() -> None:
    history = [a_row("e4", "FAILED", failed=3), a_row("e3", "WAITING"), a_row("e2", "RUNNING"), a_row("e1", "SUCCESS")]
    assert newest_under_way(client_of(history), "t1").standing.id == "e3"
    for over in ([], [a_row("e1", "SUCCESS", ok=3)]):
        with pytest.raises(Failure, match="task t1 has no execution under way"):
            newest_under_way(client_of(over), "t1")
