"""How an engine and a worker are put together from our own parts, for one life."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime
from itertools import count
from typing import Protocol

from fleetcron.domain.fleet import Endpoint as Place
from fleetcron.domain.task import LateLimits
from fleetcron.engine.canceller import Canceller
from fleetcron.engine.dispatcher import Dispatcher
from fleetcron.engine.loop import IDLE_SECONDS, Loop
from fleetcron.engine.recorder import Recorder
from fleetcron.engine.scheduler import Scheduler
from fleetcron.engine.sweeper import Sweeper
from fleetcron.errors import Unavailable
from fleetcron.store.database import Database
from fleetcron.wire.executions import record_of
from fleetcron.worker.endpoint import Endpoint
from fleetcron.worker.limits import AttemptConfig
from fleetcron.worker.worker import Worker
from simulation.broker import Broker, EngineLine, WorkerLine
from simulation.servers import Ground as ServersGround
from simulation.servers import Servers, SimulationDriver
from simulation.tables import Ground as TablesGround
from simulation.tables import ProcessDatabase
from simulation.virtual import Process, Strand, VirtualLoop

BACK_OFF_SECONDS_MAX = 5.0
UNDER_WAY_MAX = 20
TAKE_MAX = 5


class Ground(TablesGround, ServersGround, Protocol):
    """What a life needs of the world."""

    loop: VirtualLoop
    servers: Servers
    database: Database
    executions_concurrency_max: int

    def rng(self, name: str) -> random.Random:
        """A source of chance of its own."""
        ...

    def new_id(self) -> str:
        """An id that sorts by its time."""
        ...

    def engine_clock(self) -> datetime:
        """What the engines' clock says."""
        ...

    def worker_clock(self, process: Process) -> Callable[[], datetime]:
        """A worker's own clock."""
        ...

    def pause(self, process: Process, seconds: float) -> None:
        """Let so much time pass for a synchronous process, or die."""
        ...

    def idle_seconds(self) -> float:
        """How long nothing is going to happen."""
        ...


def start_engine(
    ground: Ground, process: Process, broker: Broker, *, late_limits: LateLimits, scheduler: type[Scheduler]
) -> None:
    """Let an engine live: every part of it, in turns as its loop takes them."""
    database = ProcessDatabase(ground, ground.database, process)
    line = EngineLine(broker, process)
    loop = Loop(
        clock=ground.engine_clock,
        line=line,
        scheduler=scheduler(database, late_limits=late_limits, say=record_of, new_id=ground.new_id),
        dispatcher=Dispatcher(
            database, line, say=record_of, executions_concurrency_max=ground.executions_concurrency_max
        ),
        recorder=Recorder(database, line, say=record_of),
        sweeper=Sweeper(database, line, say=record_of),
        canceller=Canceller(database, line, say=record_of),
    )

    def story() -> None:
        back_off_seconds = IDLE_SECONDS
        while True:
            try:
                if not loop.turn():
                    line.wait(ground.idle_seconds())
                else:
                    ground.pause(process, 0.001)
                back_off_seconds = IDLE_SECONDS
            except Unavailable:
                ground.pause(process, back_off_seconds)
                back_off_seconds = min(back_off_seconds * 2, BACK_OFF_SECONDS_MAX)

    Strand(ground.loop, process, story)


def start_worker(
    ground: Ground,
    process: Process,
    broker: Broker,
    *,
    places: tuple[Place, ...],
    config: AttemptConfig,
    line: type[WorkerLine],
) -> None:
    """Let a worker live."""
    clock = ground.worker_clock(process)
    rng = ground.rng(f"driver/{process}")
    numbers = count(1)

    async def story() -> None:
        endpoints = {
            place.name: Endpoint(
                place, SimulationDriver(ground, ground.servers, process, rng, endpoint=place.name, clock=clock)
            )
            for place in places
        }
        worker = Worker(
            line(broker, process),
            endpoints,
            clock=clock,
            config=config,
            new_id=lambda: f"{process}/{next(numbers)}",
            under_way_max=UNDER_WAY_MAX,
            take_max=TAKE_MAX,
        )
        process.drain = worker.drain
        await worker.run()

    ground.loop.spawn(process, story())
