"""The HTTP server of a process: how it stays and how it leaves."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from builders import eventually
from fleetcron.assembly.server import Stay, listen, url_of
from fleetcron.errors import BadSettings

# A process that answers, and when it is asked to leave stays for as long as its argument says.
PROCESS = """
import sys
from fleetcron.assembly.server import Server, Stay, listen, url_of
from fleetcron.web.health import Health
stay = Stay(seconds_max=float(sys.argv[1]))
with listen("127.0.0.1", 0) as listener:
    url = url_of("127.0.0.1", listener)
    health = Health(live={}, ready={"process": stay.trouble})
    server = Server(health, stay, lambda: print(url, flush=True))
    server.heed_signals()
    server.run(sockets=[listener])
"""


@contextmanager
def process(stays_seconds: float) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-c", PROCESS, str(stays_seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        try:
            yield running, running.stdout.readline().strip()
        finally:
            running.kill()


def ready(url: str) -> int:
    return httpx.get(f"{url}/health/ready", trust_env=False).status_code


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_process_that_is_asked_to_leave_says_so_and_answers_until_it_has_left(how: signal.Signals) -> None:
    with process(2) as (running, url):
        assert ready(url) == 200
        os.kill(running.pid, how)
        eventually(lambda: ready(url) == 503, seconds=1.5)
        assert httpx.get(f"{url}/health/live", trust_env=False).status_code == 200
        assert running.wait(10) == 0


def test_a_second_signal_ends_it_at_once() -> None:
    with process(3_600) as (running, url):
        os.kill(running.pid, signal.SIGTERM)
        eventually(lambda: ready(url) == 503)
        os.kill(running.pid, signal.SIGTERM)
        assert running.wait(5) == 0


class Seconds:
    """A monotonic clock that stands until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_it_stays_until_there_is_nothing_left_to_stay_for_or_the_time_is_over() -> None:
    seconds, begun, over = Seconds(), list[str](), list[str]()
    stay = Stay(seconds_max=5, begin=lambda: begun.append("begun"), is_over=lambda: bool(over), clock=seconds)
    seconds.now += 1_000
    assert (stay.is_done(), stay.trouble(), begun) == (False, None, [])
    stay.leave()
    stay.leave()
    assert (stay.is_done(), stay.trouble(), begun) == (False, "is ending", ["begun"])
    seconds.now += 5
    assert stay.is_done()
    seconds.now -= 5
    over.append("over")
    assert stay.is_done()


def test_what_ends_by_itself_ends_the_stay() -> None:
    assert Stay(seconds_max=5, is_over=lambda: True).is_done()


def test_an_address_that_is_taken_or_not_ours_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for host, port in (("127.0.0.1", taken.getsockname()[1]), ("192.0.2.1", 0)):
            with pytest.raises(BadSettings, match="cannot listen"):
                listen(host, port)


@pytest.mark.parametrize(
    ("host", "https", "begins"),
    [
        ("0.0.0.0", False, "http://127.0.0.1:"),  # noqa: S104  (nothing is bound there)
        ("127.0.0.1", True, "https://127.0.0.1:"),
        ("::1", False, "http://[::1]:"),
    ],
)
def test_an_address_is_said_as_it_is_reached(host: str, https: bool, begins: str) -> None:
    with listen("127.0.0.1", 0) as listener:
        assert url_of(host, listener, https=https).startswith(begins)
