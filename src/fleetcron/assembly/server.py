"""The HTTP server of a process: how it listens, when it answers, and how it leaves."""

from __future__ import annotations

import signal
import socket
import ssl
import time
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from fleetcron.assembly.protocol import BoundedHead
from fleetcron.errors import BadSettings

STOP_SECONDS_MAX = 10.0
BACKLOG_MAX = 2048


class Stay:
    """Why a process stays: until it is asked to leave, and then until it has done what it still has to.

    ``begin`` is what leaving begins with; it returns at once. ``is_over`` says whether there is nothing left to stay
    for, asked for or not. Once asked, it stays for ``seconds_max`` at most. Belongs to the server's thread.
    """

    def __init__(
        self,
        *,
        seconds_max: float,
        begin: Callable[[], None] | None = None,
        is_over: Callable[[], bool] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds_max = seconds_max
        self._begin = begin
        self._is_over = is_over
        self._clock = clock
        self._left_at: float | None = None

    def leave(self) -> None:
        """Begin to end; asking again changes nothing."""
        if self._left_at is None:
            self._left_at = self._clock()
            if self._begin is not None:
                self._begin()

    def is_done(self) -> bool:
        """Whether the process may end."""
        if self._left_at is not None and self._clock() - self._left_at >= self._seconds_max:
            return True
        return self._is_over is not None and self._is_over()

    def trouble(self) -> str | None:
        """Why nothing new should be given to this process, None if it should."""
        return None if self._left_at is None else "is ending"


class Server(uvicorn.Server):
    """uvicorn, telling when it answers, and staying until its process has done what it has to.

    SIGINT and SIGTERM ask it to leave; a second one ends it at once.
    """

    def __init__(
        self, app: ASGIApp, stay: Stay, answering: Callable[[], None], *, tls: ssl.SSLContext | None = None
    ) -> None:
        config = uvicorn.Config(
            app,
            loop="uvloop",
            http=BoundedHead,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            # Whoever could say where a request comes from could get round the limits and falsify the audit log.
            proxy_headers=False,
            timeout_graceful_shutdown=int(STOP_SECONDS_MAX),
            ssl_context_factory=None if tls is None else lambda *_: tls,
        )
        super().__init__(config)
        self._stay = stay
        self._answering = answering
        self._asked = 0

    def heed_signals(self) -> None:
        """Take SIGINT and SIGTERM from now on, not only once it answers."""
        # uvicorn takes them itself while it runs, and puts these back at its end: a late one must not cut us short.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.handle_exit)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  (the signature of a handler)
        """Heed one signal; what follows from it is done in the loop, where no lock is half taken."""
        self._asked += 1
        if self._asked > 1:
            self.should_exit = self.force_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer, and tell so."""
        await super().startup(sockets)
        if not self.started:
            return
        try:
            self._answering()
        except BaseException:
            await self.shutdown(sockets)
            raise

    async def on_tick(self, counter: int) -> bool:
        """Whether to end now."""
        if self._asked:
            self._stay.leave()
        if self._stay.is_done():
            self.should_exit = True
        return await super().on_tick(counter)

    @property
    def was_asked_to_leave(self) -> bool:
        """Whether somebody asked; otherwise it ended because what it stayed for did."""
        return self._asked > 0


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 takes any free one.

    Raises:
        BadSettings: it is taken, or not this machine's.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=BACKLOG_MAX)
    except (OSError, OverflowError) as error:
        raise BadSettings("address", f"cannot listen on {host}:{port}: {error}") from error


def url_of(host: str, listener: socket.socket, *, https: bool = False) -> str:
    """Where what listens is reached on this machine."""
    # What listens on every address is reached on this machine by the loopback one.
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  (not bound here)
    reached = f"[{reached}]" if ":" in reached else reached
    return f"{'https' if https else 'http'}://{reached}:{listener.getsockname()[1]}"
