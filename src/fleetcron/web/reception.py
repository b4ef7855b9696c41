"""Where tokens wait that only another identity service knows: the event loop must not wait for its answers."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Final

from fleetcron.control.recent import REMEMBERED_SECONDS
from fleetcron.control.visitors import Visitor, Visitors
from fleetcron.errors import Unavailable

ASKED_AT_ONCE_MAX: Final = 4
WAITING_MAX: Final = 256
WAIT_SECONDS_MAX: Final = 15.0


class Reception:
    """Admits visitors, each asked about once however many of its requests come in at the same time.

    The threads are its own: while the identity service hangs, nobody else's request waits for one. It belongs to one
    event loop.
    """

    def __init__(self, visitors: Visitors) -> None:
        self._visitors = visitors
        self._threads = ThreadPoolExecutor(max_workers=ASKED_AT_ONCE_MAX, thread_name_prefix="reception")
        self._asked: dict[str, tuple[datetime, asyncio.Future[Visitor]]] = {}
        self._waiting = 0

    async def admit(self, token: str, now: datetime) -> Visitor:
        """Who bears this token.

        Raises:
            Unauthenticated, Forbidden, Unavailable: as ``Visitors.admit``; Unavailable also when more than WAITING_MAX
                wait, or this one has waited for WAIT_SECONDS_MAX.
        """
        visitor = self._visitors.recall(token, now)
        if visitor is not None:
            return visitor
        try:
            # Whoever gives up leaves the others, and the question, as they are.
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                return await asyncio.shield(self._answer(token, now))
        except TimeoutError as error:
            raise Unavailable("the identity service does not answer") from error

    def _answer(self, token: str, now: datetime) -> asyncio.Future[Visitor]:
        """The answer to come, to a question that has just been asked or is asked now."""
        asked = self._asked.get(token)
        # An older question may be answered by what the service knew before the token was revoked.
        if asked is not None and asked[0] <= now < asked[0] + timedelta(seconds=REMEMBERED_SECONDS):
            return asked[1]
        if self._waiting >= WAITING_MAX:
            raise Unavailable("too many tokens are being checked at once")
        self._waiting += 1
        answer = asyncio.get_running_loop().run_in_executor(self._threads, self._visitors.admit, token, now)
        self._asked[token] = (now, answer)
        answer.add_done_callback(lambda done: self._settle(token, done))
        return answer

    def _settle(self, token: str, done: asyncio.Future[Visitor]) -> None:
        self._waiting -= 1
        if self._asked.get(token, (None, None))[1] is done:
            del self._asked[token]
        if not done.cancelled():
            # Looked at, lest it be logged as forgotten where everybody has given up waiting.
            done.exception()
