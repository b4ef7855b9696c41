"""One endpoint as the attempts see it: single questions, asked of the driver in bulk, within a limit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import islice
from typing import Generic, TypeVar

from fleetcron.domain import fleet
from fleetcron.drivers.contract import Capabilities, Driver, Observation, Poll, Request
from fleetcron.errors import DriverError, Indeterminate, Retryable, Unavailable

BULK_MAX = 1_000
OBSERVE_SECONDS_MAX = 30.0
SUBMIT_SECONDS_MAX = 30.0
WANTED_SECONDS = 0.25
"""So often it is asked whether what is on its way is still wanted."""

Told = TypeVar("Told")


class Endpoint:
    """A driver with its limit: at most ``concurrency_max`` attempts are between began and settled at once.

    However many attempts ask, one observation and one poll are under way at a time; questions that come
    meanwhile are asked together in the next.
    """

    def __init__(self, endpoint: fleet.Endpoint, driver: Driver) -> None:
        self.name = endpoint.name
        self._driver = driver
        self._places = asyncio.Semaphore(endpoint.concurrency_max)
        bulk_max = _bulk_max(driver)
        self._observations = _Bulk(driver.observe, bulk_max)
        self._polls = _Bulk(driver.poll, bulk_max)

    @property
    def capabilities(self) -> Capabilities:
        """What the driver can do."""
        return self._driver.capabilities

    @property
    def place(self) -> AbstractAsyncContextManager[None]:
        """Wait for and hold one of the endpoint's places."""
        return self._places

    async def observe(self, handle: str) -> Observation:
        """Look at one server.

        Raises:
            DriverError: it could not be seen.
        """
        return await self._observations.ask(handle)

    async def poll(self, ticket: str) -> Poll:
        """Say how far a ticket has come.

        Raises:
            DriverError: it could not be asked.
        """
        return await self._polls.ask(ticket)

    async def submit(self, request: Request, is_wanted: Callable[[], bool]) -> str:
        """Tell the server once, and return the ticket.

        What is wanted no more is broken off: a driver may be long on its way to the server, and whoever has come in our
        place must not meet an order of ours that it has waited for in vain.

        Raises:
            DriverError: as the driver says; Indeterminate also when it did not answer in time or broke.
            Unavailable: it was broken off, and may have been done.
        """
        watch = None
        try:
            async with asyncio.timeout(SUBMIT_SECONDS_MAX) as limit:
                watch = _Watch(limit, is_wanted)
                return await self._driver.submit(request)
        except DriverError:
            raise
        except TimeoutError as error:
            if watch is not None and watch.is_unwanted:
                raise Unavailable("the command may be another worker's by now; an order was broken off") from None
            raise Indeterminate(f"no answer within {SUBMIT_SECONDS_MAX:.0f} s") from error
        except Exception as error:  # a driver that breaks may have sent before it broke
            raise Indeterminate(f"the driver failed: {error!r}") from error
        finally:
            if watch is not None:
                watch.stop()

    async def notify(self, handle: str, text: str) -> None:
        """Tell the people who use a server.

        Raises:
            DriverError: they could not be told.
        """
        async with asyncio.timeout(SUBMIT_SECONDS_MAX):
            await self._driver.notify(handle, text)

    async def aclose(self) -> None:
        """Let go of the driver's connections."""
        await self._driver.aclose()


class _Watch:
    """Asks every WANTED_SECONDS whether what is being said to a server is still wanted, and ends its limit if not."""

    def __init__(self, limit: asyncio.Timeout, is_wanted: Callable[[], bool]) -> None:
        self.is_unwanted = False
        self._limit = limit
        self._is_wanted = is_wanted
        self._loop = asyncio.get_running_loop()
        self._next = self._loop.call_later(WANTED_SECONDS, self._look)

    def stop(self) -> None:
        """Ask no more."""
        self._next.cancel()

    def _look(self) -> None:
        if self._limit.expired():
            return
        if self._is_wanted():
            self._next = self._loop.call_later(WANTED_SECONDS, self._look)
        else:
            self.is_unwanted = True
            self._limit.reschedule(self._loop.time())


def _bulk_max(driver: Driver) -> int:
    try:
        return min(driver.capabilities.bulk_max, BULK_MAX)
    except Exception:  # noqa: BLE001  (one that breaks here breaks again where it ends a subtask, with its reason)
        return 1


class _Bulk(Generic[Told]):
    """Gathers single questions into bulk ones."""

    def __init__(
        self, ask_all: Callable[[Sequence[str]], Awaitable[Mapping[str, Told | DriverError]]], bulk_max: int
    ) -> None:
        self._ask_all = ask_all
        self._bulk_max = bulk_max
        self._waiting: dict[str, list[asyncio.Future[Told]]] = {}
        self._round: asyncio.Task[None] | None = None

    async def ask(self, key: str) -> Told:
        answer: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(answer)
        if self._round is None:
            self._round = asyncio.create_task(self._rounds())
        return await answer

    async def _rounds(self) -> None:
        # Let everybody who is ready to ask do so first: that is what makes the first round a bulk one.
        await asyncio.sleep(0)
        try:
            while self._waiting:
                keys = list(islice(self._waiting, self._bulk_max))
                asked = {key: self._waiting.pop(key) for key in keys}
                told = await self._answers(keys)
                for key, answers in asked.items():
                    said = told.get(key)
                    for answer in answers:
                        _settle(answer, said if said is not None else Retryable("the driver did not answer for it"))
        finally:
            self._round = None

    async def _answers(self, keys: Sequence[str]) -> Mapping[str, Told | DriverError]:
        try:
            async with asyncio.timeout(OBSERVE_SECONDS_MAX):
                return dict(await self._ask_all(keys))
        except DriverError as error:
            return dict.fromkeys(keys, error)
        except TimeoutError:
            return dict.fromkeys(keys, Retryable(f"no answer within {OBSERVE_SECONDS_MAX:.0f} s"))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return dict.fromkeys(keys, Retryable("the driver cancelled its own answer"))
        except Exception as error:  # noqa: BLE001  (a question changes nothing on the server, so it may be asked again)
            return dict.fromkeys(keys, Retryable(f"the driver failed: {error!r}"))


def _settle(answer: asyncio.Future[Told], told: Told | DriverError) -> None:
    if answer.done():
        return
    if isinstance(told, DriverError):
        answer.set_exception(told)
    else:
        answer.set_result(told)
