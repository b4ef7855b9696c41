"""What goes wrong, drawn from the seed: when, whom it hits, for how long."""

from __future__ import annotations

import random
from enum import StrEnum

import msgspec

WINDOW_SECONDS = 110.0


class Kind(StrEnum):
    """What can go wrong at a time of its own."""

    ENGINE_KILLED = "engine killed"
    WORKER_KILLED = "worker killed"
    ALL_KILLED = "everything restarted"
    ENGINE_FROZEN = "engine frozen"
    WORKER_FROZEN = "worker frozen"
    WORKER_DRAINED = "worker drained and replaced"
    DATABASE_AWAY = "database away"
    LINE_CUT = "line cut for one"
    LINE_AWAY = "line away"
    LINE_WIPED = "line wiped"
    ENGINE_CLOCK = "engines' clock stepped"
    EVERY_CLOCK = "every clock stepped by a day"
    WORKER_CLOCK = "a worker's clock stepped"
    SERVER_AWAY = "server unreachable"


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One accident: ``pick`` chooses whom it hits among those there are then."""

    at: float
    kind: Kind
    seconds: float
    pick: float


class Mood(msgspec.Struct, frozen=True, kw_only=True):
    """Which things go wrong in this world, and how often, by the step: it leaves some out, to go deeper into others."""

    kinds: tuple[Kind, ...]
    dies: float
    freezes: float
    answer_lost: float
    waits: float
    lossy: bool
    troubled: bool


def draw_mood(rng: random.Random) -> Mood:
    """What is going to go wrong in this world."""
    kinds = tuple(kind for kind in Kind if rng.random() < 0.45)
    return Mood(
        kinds=kinds,
        dies=rng.choice((0.0, 0.0, 0.003, 0.01)),
        freezes=rng.choice((0.0, 0.003, 0.01, 0.04)),
        answer_lost=rng.choice((0.0, 0.0, 0.03, 0.1)),
        waits=rng.choice((0.05, 0.3, 0.6)),
        lossy=rng.random() < 0.4,
        troubled=rng.random() < 0.7,
    )


def draw_faults(rng: random.Random, mood: Mood, waves: list[float]) -> list[Fault]:
    """Every accident of this world, in its order; ``waves`` are the times about which tasks fire."""
    faults = [
        _fault(rng, rng.choice(mood.kinds), wave)
        for wave in waves
        for _ in range(rng.randint(0, 6) if mood.kinds else 0)
    ]
    return sorted(faults, key=lambda fault: fault.at)


def _fault(rng: random.Random, kind: Kind, wave: float) -> Fault:
    at = wave + rng.uniform(-10, WINDOW_SECONDS)
    match kind:
        case Kind.ENGINE_CLOCK:
            seconds = rng.uniform(-25, 25)
        case Kind.EVERY_CLOCK:
            # At an hour when nothing runs: whoever steps a clock by a day in the middle of work ends that work.
            at, seconds = wave - rng.uniform(2000, 9000), rng.choice((-90_000.0, -86_400.0, 90_000.0, 172_800.0))
        case Kind.WORKER_CLOCK:
            seconds = rng.uniform(-10, 10)
        case Kind.ENGINE_KILLED | Kind.WORKER_KILLED if rng.random() < 0.1:
            # At times over the next fire as well, so that fires are missed.
            seconds = rng.choice((rng.uniform(20, 300), rng.uniform(20, 300), 86_450.0))
        case Kind.ENGINE_FROZEN | Kind.WORKER_FROZEN:
            seconds = rng.choice((rng.uniform(0.5, 8), rng.uniform(5, 60)))
        case _:
            seconds = rng.uniform(0.2, 20)
    return Fault(at=at, kind=kind, seconds=seconds, pick=rng.random())
