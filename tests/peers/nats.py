"""A NATS of the tests' own, one server or a cluster: ``nats-server`` from its wheel, with JetStream in a folder."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from builders import eventually
from peers.keystone import end
from peers.ports import free_ports

PROGRAM: Final = Path(sys.executable).with_name("nats-server")

START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 15.0
ANSWER_SECONDS_MAX = 2.0
LOG_CHARACTERS_MAX = 4000


@dataclass(kw_only=True)
class Node:
    """One server. It comes back at the same address with what it had written down."""

    name: str
    url: str
    port: int
    monitor_url: str
    folder: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def store(self) -> Path:
        """Where its JetStream writes."""
        return self.folder / "store"

    @property
    def pid(self) -> int:
        """Its process."""
        return self._running().pid

    def start(self) -> None:
        """Start it: it takes connections when this returns, and JetStream answers if enough of its peers are up."""
        assert self.process is None, f"{self.name} is running"
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "--config", str(self.folder / "nats.conf")],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.wait(self._takes_connections, "takes no connections")

    def terminate(self) -> None:
        """Bid it end in good order, and do not wait for that."""
        self._running().terminate()

    def stop(self) -> None:
        """End it in good order."""
        end(self._running(), grace_seconds=STOP_SECONDS_MAX)
        self.process = None

    def kill(self) -> None:
        """End it at once, as ``kill -9`` does."""
        process = self._running()
        process.kill()
        process.wait(STOP_SECONDS_MAX)
        self.process = None

    def freeze(self) -> None:
        """Let it do nothing more, its connections open, until it is thawed."""
        self._running().send_signal(signal.SIGSTOP)
        # Until then one of its threads may still answer.
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def thaw(self) -> None:
        """Let a frozen one go on."""
        self._running().send_signal(signal.SIGCONT)

    def is_healthy(self) -> bool:
        """Whether its JetStream says that it is up and has caught up with its peers."""
        return self.ask("/healthz") is not None

    def ask(self, path: str) -> dict[str, Any] | None:
        """What its monitoring says; None where it is not well or not there."""
        with suppress(httpx.TransportError):
            answer = httpx.get(self.monitor_url + path, timeout=ANSWER_SECONDS_MAX, trust_env=False)
            if answer.is_success:
                said: dict[str, Any] = answer.json()
                return said
        return None

    def wait(self, until: Callable[[], bool], otherwise: str) -> None:
        """Wait until something is so; fail, with the end of the log, when the process ends or it takes too long."""
        process = self._running()

        def is_so() -> bool:
            assert process.poll() is None, f"it ended with {process.returncode}"
            return until()

        try:
            eventually(is_so, seconds=START_SECONDS_MAX)
        except AssertionError as error:
            said = (self.folder / "log").read_text(errors="replace")[-LOG_CHARACTERS_MAX:]
            raise AssertionError(f"{self.name} {otherwise}: {error}: {said}") from error

    def _takes_connections(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), ANSWER_SECONDS_MAX):
            return True
        return False

    def _running(self) -> subprocess.Popen[bytes]:
        assert self.process is not None, f"{self.name} is stopped"
        return self.process


@dataclass(frozen=True, kw_only=True)
class Nats:
    """A running NATS with JetStream.

    A single server knows no users unless its ``config`` names some. A replica of a stream may be asked for on each
    of the nodes.
    """

    nodes: Sequence[Node]

    @property
    def urls(self) -> list[str]:
        """The address of each server, running or not."""
        return [node.url for node in self.nodes]

    @property
    def url(self) -> str:
        """All addresses in one text, with commas between them."""
        return ",".join(self.urls)

    def node(self, number: int) -> Node:
        """One of the servers, from 0 on."""
        return self.nodes[number]

    def restart(self) -> None:
        """End all that run, in good order, and start all."""
        self._stop()
        self._start()

    def wipe(self) -> None:
        """Stop, lose every stream, consumer and message, and start again."""
        self._stop()
        for node in self.nodes:
            shutil.rmtree(node.store)
        self._start()

    def wait_until_ready(self) -> None:
        """Wait until JetStream is well on every server that runs and, in a cluster, they have a leader among them."""
        running = [node for node in self.nodes if node.process is not None]
        for node in running:
            node.wait(node.is_healthy, "is not well")
        if len(self.nodes) > 1:
            names = {node.name for node in running}
            running[0].wait(lambda: self._leader() in names, "knows no leader")

    def leader(self) -> Node:
        """The server that leads JetStream in a cluster: where streams are made and lost servers are noticed."""
        led_by = self._leader()
        (leader,) = [node for node in self.nodes if node.name == led_by]
        return leader

    def _leader(self) -> str | None:
        running = [node for node in self.nodes if node.process is not None]
        said = [node.ask("/jsz") or {} for node in running]
        named = {one.get("meta_cluster", {}).get("leader") for one in said}
        # Of two names one is of the past.
        return named.pop() if len(named) == 1 else None

    def _stop(self) -> None:
        running = [node for node in self.nodes if node.process is not None]
        for node in running:
            # All at once: otherwise each hands what it leads to one that is about to go, too.
            node.thaw()
            node.terminate()
        for node in running:
            node.stop()

    def _start(self) -> None:
        for node in self.nodes:
            node.start()
        self.wait_until_ready()


@contextmanager
def nats_peer(
    folder: Path,
    *,
    nodes: int = 1,
    config: str = "",
    tls: tuple[Path, Path] | None = None,
    sync_interval: str = "2m",
) -> Iterator[Nats]:
    """Start NATS, with everything that it writes in ``folder``, and end it again; JetStream answers meanwhile.

    ``nodes`` is 1, or 3 and more for a cluster. ``config`` is added to every server's: an ``authorization`` or
    ``accounts`` block, for instance. ``tls`` are the files of a certificate and of its key; then who does not
    speak TLS is refused. ``sync_interval`` is JetStream's own, ``always`` for a disk that must not forget.
    """
    ports = free_ports(3 * nodes)
    numbered = zip(ports[:nodes], ports[nodes : 2 * nodes], ports[2 * nodes :], strict=True)
    routes = [f"nats://127.0.0.1:{port}" for port in ports[nodes : 2 * nodes]]
    made = [
        _found(
            folder.resolve() / f"n{number}",
            own,
            routes=routes if nodes > 1 else [],
            tls=tls,
            config=f"{config}\n",
            sync_interval=sync_interval,
        )
        for number, own in enumerate(numbered)
    ]
    nats = Nats(nodes=made)
    try:
        nats._start()
        yield nats
    finally:
        nats._stop()


def _found(
    folder: Path,
    ports: tuple[int, int, int],
    *,
    routes: Sequence[str],
    tls: tuple[Path, Path] | None,
    config: str,
    sync_interval: str,
) -> Node:
    """Write down one server's settings."""
    port, route, monitor = ports
    settings = f"""
server_name: {folder.name}
listen: "127.0.0.1:{port}"
http: "127.0.0.1:{monitor}"
jetstream {{ store_dir: "{folder / "store"}", sync_interval: "{sync_interval}" }}
"""
    if routes:
        settings += f'cluster {{ name: fleet, listen: "127.0.0.1:{route}", routes: {_list(routes)} }}\n'
    if tls is not None:
        settings += f'tls {{ cert_file: "{tls[0]}", key_file: "{tls[1]}" }}\n'
    folder.mkdir()
    (folder / "nats.conf").write_text(settings + config)
    return Node(
        name=folder.name,
        url=f"{'nats' if tls is None else 'tls'}://127.0.0.1:{port}",
        port=port,
        monitor_url=f"http://127.0.0.1:{monitor}",
        folder=folder,
    )


def _list(texts: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{text}"' for text in texts) + "]"
