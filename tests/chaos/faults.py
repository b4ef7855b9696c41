"""What befalls the machines, drawn from a seed: one fault at a time."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from builders import eventually
from chaos.processes import Process
from chaos.world import World
from fleetcron.domain.task import TaskType
from fleetcron.drivers.journal import ACCEPTED

AFTER_A_WORKER_SECONDS: Final = 12.0
SWING_SECONDS_MAX: Final = 60.0
VICTIMS: Final = 1_000


class Kind(StrEnum):
    """What can happen."""

    KILL_ENGINE = "kill -9 of an engine"
    KILL_API = "kill -9 of an API"
    KILL_WORKER = "kill -9 of a worker"
    FREEZE_ENGINE = "freeze of an engine"
    FREEZE_API = "freeze of an API"
    FREEZE_WORKER = "freeze of a worker"
    RESTART_DATABASE = "immediate restart of PostgreSQL"
    KILL_NODE = "kill -9 of a NATS node"
    FREEZE_NODE = "freeze of a NATS node"


OF_WORKERS: Final = frozenset({Kind.KILL_WORKER, Kind.FREEZE_WORKER})
OF_APIS: Final = frozenset({Kind.KILL_API, Kind.FREEZE_API})
FREEZES: Final = frozenset({Kind.FREEZE_ENGINE, Kind.FREEZE_API, Kind.FREEZE_WORKER, Kind.FREEZE_NODE})


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is to happen to ``victim`` (counted within its kind) for so long, with so much quiet after it.

    Which worker is struck shows only when it happens: one that has work under way.
    """

    kind: Kind
    victim: int
    seconds: float
    quiet_seconds: float


class Befallen(msgspec.Struct, frozen=True, kw_only=True):
    """A fault that has happened, ``at`` to ``until`` (seconds since 1970), to the process ``pid`` if that was ours."""

    fault: Fault
    at: float
    until: float
    pid: int | None = None


def draw(
    seed: int, *, kinds: Sequence[Kind], freeze_seconds: tuple[float, float], quiet_seconds: tuple[float, float]
) -> Iterator[Fault]:
    """One fault of each of these kinds, in their order."""
    rng = random.Random(seed)  # noqa: S311  (to be repeated)
    for kind in kinds:
        yield Fault(
            kind=kind,
            victim=rng.randrange(VICTIMS),
            seconds=rng.uniform(*freeze_seconds) if kind in FREEZES else rng.uniform(1, 3),
            quiet_seconds=rng.uniform(*quiet_seconds),
        )


def every_kind(seed: int, rounds: int) -> list[Kind]:
    """All kinds in a drawn order, so many times."""
    rng = random.Random(seed)  # noqa: S311  (to be repeated)
    return [kind for _ in range(rounds) for kind in rng.sample(list(Kind), len(Kind))]


def befall(world: World, faults: Iterable[Fault]) -> Iterator[Befallen]:
    """Let them happen one after the other: each is over, and everybody up again, before the next begins.

    What a struck worker held has AFTER_A_WORKER_SECONDS to be taken up before anything befalls anybody who has a part
    in that; otherwise it would not be known what was late because of what.
    """
    struck_at = 0.0
    for fault in faults:
        if fault.kind not in OF_APIS:
            # Time has to pass here and below: people's work goes on meanwhile, for the next fault to meet it.
            time.sleep(max(0.0, struck_at + AFTER_A_WORKER_SECONDS - time.time()))
        if fault.kind in OF_WORKERS:
            victim = world.workers.index(_in_full_swing(world))
            fault = msgspec.structs.replace(fault, victim=victim)  # noqa: PLW2901  (from here on it is this one)
        at = time.time()
        pid = _HAPPEN[fault.kind](world, fault)
        if fault.kind in OF_WORKERS:
            struck_at = at
        yield Befallen(fault=fault, at=at, until=time.time(), pid=pid)
        time.sleep(fault.quiet_seconds)


def _in_full_swing(world: World) -> Process:
    """Wait until a server has just begun to restart at a worker's word; that worker, which has work under way now.

    Who gets how much is for the line to say, and one that is drawn may have nothing to lose.
    """
    journal = world.fleet.journal
    seen = len(journal)

    def has_told() -> list[Process]:
        told = {
            touch.worker
            for touch in journal[seen:]
            if touch.task_type is TaskType.RESTART_SERVER and touch.answer == ACCEPTED
        }
        return [worker for worker in world.workers if worker.pid in told]

    return eventually(has_told, seconds=SWING_SECONDS_MAX)[0]


def _victim(processes: Sequence[Process], fault: Fault) -> Process:
    return processes[fault.victim % len(processes)]


def _kill(process: Process, fault: Fault) -> int:
    pid = process.pid
    process.kill()
    time.sleep(fault.seconds)
    process.start()
    process.wait_until_ready()
    return pid


def _freeze(process: Process, fault: Fault) -> int:
    process.freeze()
    try:
        time.sleep(fault.seconds)
    finally:
        process.thaw()
    return process.pid


def _kill_node(world: World, fault: Fault) -> None:
    node = world.nats.node(fault.victim % len(world.nats.nodes))
    node.kill()
    try:
        time.sleep(fault.seconds)
    finally:
        node.start()
    world.nats.wait_until_ready()


def _freeze_node(world: World, fault: Fault) -> None:
    node = world.nats.node(fault.victim % len(world.nats.nodes))
    node.freeze()
    try:
        time.sleep(fault.seconds)
    finally:
        node.thaw()
    world.nats.wait_until_ready()


_HAPPEN: Final = {
    Kind.KILL_ENGINE: lambda world, fault: _kill(_victim(world.engines, fault), fault),
    Kind.KILL_API: lambda world, fault: _kill(_victim(world.apis, fault), fault),
    Kind.KILL_WORKER: lambda world, fault: _kill(_victim(world.workers, fault), fault),
    Kind.FREEZE_ENGINE: lambda world, fault: _freeze(_victim(world.engines, fault), fault),
    Kind.FREEZE_API: lambda world, fault: _freeze(_victim(world.apis, fault), fault),
    Kind.FREEZE_WORKER: lambda world, fault: _freeze(_victim(world.workers, fault), fault),
    Kind.RESTART_DATABASE: lambda world, _: world.postgresql.restart_immediately(),
    Kind.KILL_NODE: _kill_node,
    Kind.FREEZE_NODE: _freeze_node,
}
