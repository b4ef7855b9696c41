"""What a process calls itself among others."""

from __future__ import annotations

import re
import secrets
import socket


def name_of_process() -> str:
    """A name that no other process has, nor this one after a new start: 1 to 32 letters, digits and -."""
    host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:20]
    return f"{host}-{secrets.token_hex(4)}"
