"""HTTP on the socket: uvicorn's protocol, with an end to what a request's head may be and how long it may take."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# One read of the socket may bring a whole short head and the beginning of its body: that much is no sign of anything.
HEAD_BYTES_MAX = 64 * 1024 + 256 * 1024
HEAD_SECONDS_MAX = 30.0


class BoundedHead(HttpToolsProtocol):
    """Closes a connection whose head grows beyond HEAD_BYTES_MAX or is not whole after HEAD_SECONDS_MAX.

    The server itself knows no such bounds: anybody could fill the memory, or the table of connections, without having
    said who they are.
    """

    _in_head = True
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401  (uvicorn's own type is narrower than asyncio's)
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._wait_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what has come, unless it is too much for a head."""
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self.transport.close()
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """Begin to wait for this head: on a connection that is kept, it is not the first."""
        self._wait_for_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is whole: what follows is a body, which the doors bound."""
        self._in_head = False
        self._wait_no_more()
        super().on_headers_complete()

    def _wait_for_head(self) -> None:
        self._in_head, self._head_bytes = True, 0
        self._wait_no_more()
        self._head_timer = self.loop.call_later(HEAD_SECONDS_MAX, self.transport.close)

    def _wait_no_more(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
