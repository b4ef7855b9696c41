"""A connection to NATS that lives in a thread of its own and is made anew whenever it is lost."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from nats.aio.client import Client
from nats.errors import Error

from fleetcron.dispatch.nats.config import NatsConfig
from fleetcron.dispatch.nats.identity import Nkey
from fleetcron.errors import Unavailable

log = logging.getLogger(__name__)

CONNECT_SECONDS_MAX: Final = 5
AGAIN_SECONDS: Final = 0.5
CLOSE_SECONDS_MAX: Final = 10.0
TRIES_PER_SERVER: Final = 1
CANCEL_SECONDS: Final = 1.0
DISCONNECT_SECONDS_MAX: Final = 2.0
COMPLAINTS_MAX: Final = 20
REFUSED: Final = "NATS refuses us: wrong user or password, or no permission; trying again"
PENDING_BYTES_MAX: Final = 8 * 1024 * 1024
_T = TypeVar("_T")


class Link:
    """Keeps a connection, and lives one ``session`` after another on it, in an event loop of its own.

    A session gets the connected client and runs until it is cancelled, because the connection is lost or the link
    is closed, or raises, when it finds the connection unfit; then there is a new connection and a new session. It is
    ours and not the client's to reconnect: what the client had asked for before is not answered after, and a
    session that begins anew has nothing half done. Closing cancels the session: what it does then, in its
    ``finally``, still reaches the server.

    Raises:
        BadSettings: what the settings name cannot be used.
    """

    def __init__(
        self, config: NatsConfig, *, name: str, inbox: str, session: Callable[[Client], Awaitable[None]]
    ) -> None:
        self._name = name
        self._session = session
        self._client: Client | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._calls: list[tuple[Callable[..., object], tuple[object, ...]]] = []
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._closing = asyncio.Event()
        self._beside: set[asyncio.Future[None]] = set()
        self._complaints: list[str] = []
        self._servers = deque(random.sample(config.servers, len(config.servers)))
        seed, token = config.seed(), config.token()
        self._key = None if seed is None else Nkey(seed)
        self._options: dict[str, Any] = {
            "dont_randomize": True,
            "name": name,
            "inbox_prefix": inbox,
            "tls": config.tls(),
            "user": config.user,
            "password": config.password,
            "signature_cb": None if self._key is None else self._key.sign,
            "user_jwt_cb": None if token is None else token.encode,
            "allow_reconnect": False,
            "max_reconnect_attempts": TRIES_PER_SERVER,
            "reconnect_time_wait": AGAIN_SECONDS,
            "connect_timeout": CONNECT_SECONDS_MAX,
            "pending_size": PENDING_BYTES_MAX,
        }

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        client = self._client
        return client is not None and client.is_connected

    @property
    def client(self) -> Client:
        """The connection.

        Raises:
            Unavailable: there is none now.
        """
        client = self._client
        if client is None or not client.is_connected:
            raise Unavailable("NATS is not connected")
        return client

    def start(self) -> None:
        """Begin to connect, and do not wait for it."""
        self._loop = asyncio.new_event_loop()
        for what, arguments in self._calls:
            self._loop.call_soon(what, *arguments)
        self._thread.start()

    def close(self) -> None:
        """End the session and the connection; once it is over nothing more is sent."""
        if self._thread.is_alive():
            self.call(self._closing.set)
            self._thread.join(CLOSE_SECONDS_MAX)

    def call(self, what: Callable[..., object], *arguments: object) -> None:
        """Run something in the link's loop, once that runs; from any thread. A link that is closed needs no telling."""
        if self._loop is None:
            self._calls.append((what, arguments))
            return
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(what, *arguments)

    def spawn(self, story: Coroutine[Any, Any, None]) -> None:
        """Run this beside the session, to its own end; called in the link's loop."""
        task = asyncio.ensure_future(story)
        # The loop itself does not keep a task from being collected.
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    def ask(self, story: Coroutine[Any, Any, _T], timeout_seconds: float) -> _T:
        """Run this in the link's loop, and wait for it, from another thread.

        Raises:
            Unavailable: it took too long, or the link is closed.
        """
        if self._loop is None or not self._thread.is_alive():
            story.close()
            raise Unavailable("the line to NATS is closed")
        asked = asyncio.run_coroutine_threadsafe(story, self._loop)
        try:
            return asked.result(timeout_seconds)
        except TimeoutError as error:
            asked.cancel()
            raise Unavailable(f"NATS did not answer within {timeout_seconds:g} s") from error

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:  # type: ignore[arg-type,return-value]
            runner.run(self._live())

    async def _live(self) -> None:
        while not self._closing.is_set():
            try:
                await self._connect_and_live()
            except (Error, Unavailable, OSError) as error:
                self._complain(error)
            except Exception:  # whatever a session stumbles over, the next one begins anew
                log.exception("%s: begins anew", self._name)
            await _first_of(asyncio.sleep(AGAIN_SECONDS), self._closing.wait())

    async def _connect_and_live(self) -> None:
        client, lost = Client(), asyncio.Event()

        async def closed() -> None:
            lost.set()

        try:
            if self._key is not None:
                client._public_nkey = self._key.public  # noqa: SLF001  (its own way to this needs a package of C)
            servers = list(self._servers)
            # A server that is frozen still lets itself be called and then says nothing: the next try is another's.
            self._servers.rotate(-1)
            connecting = client.connect(servers, **self._options, closed_cb=closed, error_cb=self._hear)
            await _first_of(connecting, self._closing.wait())
            if self._closing.is_set():
                return
            self._put_last(client)
            log.info("%s: connected to %s", self._name, client.connected_url and client.connected_url.netloc)
            self._complaints.clear()
            self._client = client
            await _first_of(self._session(client), lost.wait(), self._closing.wait())
        finally:
            self._client = None
            if client.options:
                # One that did not get to read its options has nothing to close, and says so by breaking. What
                # failed in the middle of TLS's greeting waits for its end for ever.
                with suppress(TimeoutError):
                    async with asyncio.timeout(DISCONNECT_SECONDS_MAX):
                        await client.close()

    def _put_last(self, client: Client) -> None:
        """Let the server that we have a connection to be the last one that is tried when it is lost."""
        here = client.connected_url and client.connected_url.netloc
        for server in [server for server in self._servers if urlsplit(server).netloc == here]:
            self._servers.remove(server)
            self._servers.append(server)

    async def _hear(self, error: Exception) -> None:
        self._complain(error)

    def _complain(self, error: Exception) -> None:
        """Say what is wrong once, however often it is found so before there is a connection again."""
        complaint = str(error) or type(error).__name__
        if "authorization" in complaint.lower():
            complaint = REFUSED
        is_new = complaint not in self._complaints
        log.log(logging.WARNING if is_new else logging.DEBUG, "%s: %s", self._name, complaint)
        if is_new and len(self._complaints) < COMPLAINTS_MAX:
            self._complaints.append(complaint)


async def _first_of(*stories: Awaitable[object]) -> None:
    """Run these until one is over, then end the others; raises what the ended one raised."""
    tasks = [asyncio.ensure_future(story) for story in stories]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _ended(tasks)
    for task in done:
        task.result()


async def _ended(tasks: Sequence[asyncio.Future[object]]) -> None:
    """End these, and wait until they have."""
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        # The client now and then overhears that it is cancelled: what goes on is told again.
        await asyncio.wait(pending, timeout=CANCEL_SECONDS)
    await asyncio.gather(*tasks, return_exceptions=True)


async def together(*stories: Coroutine[Any, Any, object]) -> None:
    """Run the parts of a session until one raises; then end the others and raise that."""
    await _first_of(*stories)
