"""What is said on any line between engine and worker in tests, and how the engine listens."""

from __future__ import annotations

import asyncio

import msgspec

from builders import NOW, after
from fleetcron.dispatch.contract import Began, Command, EngineEnd, Event
from fleetcron.domain.task import TaskType


def a_command(ordinal: int = 1, **fields: object) -> Command:
    """A restart of the server number ``ordinal``."""
    command = Command(
        execution_id="e1",
        ordinal=ordinal,
        server_id=f"s{ordinal}",
        endpoint="lab",
        handle=f"h{ordinal}",
        task_type=TaskType.RESTART_SERVER,
        enforcement=True,
        start_until=after(300),
    )
    return msgspec.structs.replace(command, **fields)


def began(ordinal: int = 1, attempt: str = "a1") -> Began:
    """The server is about to be told."""
    return Began(
        execution_id="e1",
        ordinal=ordinal,
        attempt=attempt,
        began_at=NOW,
        settle_until=after(900),
        boot_marker="b",
        sends=1,
    )


async def events_of(engine: EngineEnd, count: int) -> list[Event]:
    """The next ``count`` events, taken as the engine takes them."""
    taken: list[Event] = []
    while len(taken) < count:
        taken += engine.take_events(count - len(taken))
        await asyncio.sleep(0.001)
    return taken
