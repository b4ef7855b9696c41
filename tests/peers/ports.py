"""Ports of the loopback for peers that take their port by number, and come back to it after a restart."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack
from typing import Final

# Below what Linux and macOS give to outgoing connections: such a one could sit on the port of a peer that is just
# being restarted.
PORTS: Final = range(20_000, 30_000)
TRIES_MAX = 100


def free_ports(count: int) -> list[int]:
    """That many different ports at which nobody listens at this moment."""
    with ExitStack() as held:
        return [held.enter_context(_listening()).getsockname()[1] for _ in range(count)]


def _listening() -> socket.socket:
    for _ in range(TRIES_MAX):
        try:
            return socket.create_server(("127.0.0.1", random.choice(PORTS)))  # noqa: S311  (no secret)
        except OSError:
            continue
    raise AssertionError(f"no free port in {TRIES_MAX} tries")
