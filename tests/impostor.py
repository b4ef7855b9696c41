"""Something that answers in a Keystone's place, as no Keystone would: asked for a token it says whatever it is told."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def said(**changes: object) -> bytes:
    """How a Keystone says a token, with these changes; None leaves a key out."""
    token = {
        "methods": ["password"],
        "user": {"id": "u1", "name": "alice", "domain": {"id": "default", "name": "Default"}},
        "project": {"id": "p1", "name": "lab", "domain": {"id": "default", "name": "Default"}},
        "roles": [{"id": "r1", "name": "reader"}],
        "issued_at": "2020-01-01T00:00:00.000000Z",
        "expires_at": "2100-01-01T00:00:00.000000Z",
        **changes,
    }
    return json.dumps({"token": {key: value for key, value in token.items() if value is not None}}).encode()


class Impostor:
    """Answers every sign-in as a Keystone does, and every check as it is told; counts the checks."""

    def __init__(self, body: bytes, status: str, *, dropped: int, only_for: bytes) -> None:
        self._answer = (body, status)
        self._only_for = only_for
        self._dropped = dropped
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v3"
        self.checks = 0

    def run(self) -> None:
        """Answer until the listener is closed."""
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection:
                    self._serve(connection)

    def close(self) -> None:
        """Stop answering."""
        # Closing alone does not wake whoever waits in accept.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self, connection: socket.socket) -> None:
        asked = connection.recv(65_536)
        if asked.startswith(b"POST"):
            body, status = said(), "201 Created"
        else:
            self.checks += 1
            if self.checks <= self._dropped:
                return
            body, status = self._answer if self._only_for in asked else (b"", "404 Not Found")
        head = f"HTTP/1.1 {status}\r\nX-Subject-Token: own\r\nLocation: http://127.0.0.1:1/\r\n"
        head += f"Content-Type: application/json\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)


@contextmanager
def impostor(body: bytes, status: str = "200 OK", *, dropped: int = 0, only_for: bytes = b"") -> Iterator[Impostor]:
    """Something in Keystone's place; the first ``dropped`` checks get no answer but a closed connection.

    Checks that do not have ``only_for`` in them find nothing.
    """
    standing = Impostor(body, status, dropped=dropped, only_for=only_for)
    thread = threading.Thread(target=standing.run)
    thread.start()
    try:
        yield standing
    finally:
        standing.close()
        thread.join()
