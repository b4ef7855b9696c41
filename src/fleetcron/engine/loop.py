"""The engine's thread: ask the clock, let each part do a batch, sleep when none has work."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime

from fleetcron.dispatch.contract import EngineEnd
from fleetcron.engine.canceller import Canceller
from fleetcron.engine.dispatcher import Dispatcher
from fleetcron.engine.recorder import Recorder
from fleetcron.engine.scheduler import Scheduler
from fleetcron.engine.sweeper import Sweeper
from fleetcron.errors import Unavailable

log = logging.getLogger(__name__)

IDLE_SECONDS = 0.05
BACK_OFF_SECONDS_MAX = 5.0


class Loop:
    """Runs the engine's parts in one thread until it is told to stop.

    One after the other, each at most a batch a turn: a burst of fires cannot keep their events waiting.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], datetime],
        line: EngineEnd,
        canceller: Canceller,
        scheduler: Scheduler,
        dispatcher: Dispatcher,
        recorder: Recorder,
        sweeper: Sweeper,
    ) -> None:
        self._clock = clock
        self._line = line
        self._canceller = canceller
        self._scheduler = scheduler
        self._dispatcher = dispatcher
        self._recorder = recorder
        self._sweeper = sweeper
        self._stopping = threading.Event()

    def turn(self) -> int:
        """Let every part do a batch; how much there was to do.

        The canceller goes before whatever hands out, so that nothing is handed out to be taken back. The sweeper goes
        before the dispatcher: what was begun before a restart comes before what is new. A part that
        fails keeps the others from nothing: the first failure is raised when all have had their turn.
        """
        done = 0
        failures: list[Exception] = []
        for tick in (
            self._recorder.tick,
            self._canceller.tick,
            self._sweeper.tick,
            self._scheduler.tick,
            self._dispatcher.tick,
        ):
            try:
                done += tick(self._clock())
            except Exception as error:  # noqa: BLE001  (raised again below)
                failures.append(error)
        if failures:
            raise failures[0]
        return done

    def run(self) -> None:
        """Take turns until ``stop``; a turn that fails is logged and tried again, later each time."""
        back_off_seconds = IDLE_SECONDS
        while not self._stopping.is_set():
            try:
                if not self.turn():
                    self._line.wait(IDLE_SECONDS)
                back_off_seconds = IDLE_SECONDS
            except Exception as error:  # the loop must survive whatever one turn meets
                # Where it was noticed that something we stand on is away tells nobody anything.
                place = None if isinstance(error, Unavailable) else error
                log.error("A turn failed; the next one in %.2f s: %s", back_off_seconds, error, exc_info=place)  # noqa: TRY400  (as said)
                self._stopping.wait(back_off_seconds)
                back_off_seconds = min(back_off_seconds * 2, BACK_OFF_SECONDS_MAX)

    def stop(self) -> None:
        """Let the turn at hand be the last one; may be called from any thread."""
        self._stopping.set()
        self._line.wake()
