"""Whether something that goes round and round still does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

STILL_SECONDS_MAX = 30.0

P = ParamSpec("P")
Given = TypeVar("Given")


class Pulse:
    """Beaten once a turn, by whatever thread; ``trouble`` may be asked from any other."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._beaten = clock()

    def beat(self) -> None:
        """Say that there was a turn."""
        self._beaten = self._clock()

    def felt(self, call: Callable[P, Given]) -> Callable[P, Given]:
        """The same call, which beats whenever it is made, whatever comes of it."""

        def beating(*arguments: P.args, **named: P.kwargs) -> Given:
            self.beat()
            return call(*arguments, **named)

        return beating

    def trouble(self) -> str | None:
        """What is wrong: None while the last beat is no more than STILL_SECONDS_MAX ago."""
        still_seconds = self._clock() - self._beaten
        return None if still_seconds <= STILL_SECONDS_MAX else f"has stood still for {still_seconds:.0f} s"
