"""One lab of scripted servers, a real line, and a diary in which the order of all that happens can be read."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import msgspec

from builders import Clock, after
from fleetcron.dispatch.contract import Began, Command, Event, Settled, Submitted, TakenUp, Verdict
from fleetcron.dispatch.local import LocalLine
from fleetcron.domain import fleet
from fleetcron.domain.execution import Evidence
from fleetcron.domain.fleet import Power
from fleetcron.domain.task import TaskType
from fleetcron.drivers.contract import Capabilities, Observation, Poll, Progress, Request
from fleetcron.errors import DriverError, Permanent
from fleetcron.worker.attempt import Attempt
from fleetcron.worker.endpoint import Endpoint
from fleetcron.worker.limits import AttemptConfig

STORY_SECONDS_MAX = 20.0

EVERYTHING = Capabilities(task_types=frozenset(TaskType), counts_users=True, marks_boots=True, notifies=True)
DONE = Poll(progress=Progress.DONE, evidence=Evidence.BOOT_MARKER_CHANGED)
PENDING = Poll(progress=Progress.PENDING)

_T = TypeVar("_T")


class Taken(msgspec.Struct, frozen=True):
    """The server does as it was told, and then the answer is this error."""

    error: Exception


Answer = Exception | Taken


class Lab:
    """A driver for one endpoint whose servers are all alike and do at once what they are told.

    ``looks``, ``answers`` and ``progress`` say what comes of the next observations, submits and polls; when they are
    used up, a look shows the server as it is, a submit is taken, and a poll says that it is done. ``meanwhile`` is
    called in every look, to let the world change.
    """

    def __init__(
        self, *, capabilities: Capabilities = EVERYTHING, power: Power = Power.ON, users: int | None = 0
    ) -> None:
        self.capabilities = capabilities
        self.power = power
        self.users = users
        self.boots = 1
        self.busy = False
        self.looks: deque[Observation | Exception] = deque()
        self.answers: deque[Answer] = deque()
        self.progress: deque[Poll | Exception] = deque()
        self.deaf: DriverError | None = None
        self.meanwhile: Callable[[], None] = lambda: None
        self.diary: list[str] = []
        self.requests: list[Request] = []
        self.closed = False

    def seen(self) -> Observation:
        marker = f"boot-{self.boots}" if self.capabilities.marks_boots else None
        return Observation(power=self.power, busy=self.busy, boot_marker=marker, users=self.users)

    async def observe(self, handles: Sequence[str]) -> Mapping[str, Observation | DriverError]:
        self.diary.append("observe")
        self.meanwhile()
        look = self.looks.popleft() if self.looks else self.seen()
        if isinstance(look, Exception) and not isinstance(look, DriverError):
            raise look
        return dict.fromkeys(handles, look)

    async def submit(self, request: Request) -> str:
        self.diary.append(f"submit {request.task_type}{' forced' if request.forced else ''}")
        self.requests.append(request)
        answer = self.answers.popleft() if self.answers else None
        if answer is None or isinstance(answer, Taken):
            self._act(request.task_type)
        if isinstance(answer, Taken):
            raise answer.error
        if answer is not None:
            raise answer
        return f"ticket-{len(self.requests)}"

    async def poll(self, tickets: Sequence[str]) -> Mapping[str, Poll | DriverError]:
        self.diary.append("poll")
        said = self.progress.popleft() if self.progress else DONE
        if isinstance(said, Exception) and not isinstance(said, DriverError):
            raise said
        return dict.fromkeys(tickets, said)

    async def notify(self, handle: str, text: str) -> None:
        self.diary.append("notify")
        if self.deaf is not None:
            raise self.deaf

    async def aclose(self) -> None:
        self.closed = True

    def _act(self, task_type: TaskType) -> None:
        if task_type is TaskType.STOP_SERVER:
            self.power = Power.OFF
            return
        if task_type is TaskType.REINSTALL_OS and self.power is not Power.OFF:
            raise Permanent("it must be off to be reinstalled")
        self.power = Power.ON
        self.boots += 1


class LapsingLine(LocalLine):
    """The line in one process, whose worker can learn, as on a shared line, that its command may be another's."""

    def __init__(self) -> None:
        super().__init__()
        self.lapsed = False
        self.handed_back: list[Command] = []

    def is_ours(self, command: Command) -> bool:
        return super().is_ours(command) and not self.lapsed

    async def hand_back(self, command: Command) -> None:
        self.handed_back.append(command)
        await super().hand_back(command)


class Bench:
    """An attempt's surroundings: the lab, the line with an engine that answers it, and a clock that sleeping moves."""

    def __init__(self, lab: Lab | None = None, *, config: AttemptConfig | None = None) -> None:
        self.lab = lab or Lab()
        self.clock = Clock()
        self.config = config or AttemptConfig()
        self.line = LapsingLine()
        self.events: list[Event] = []
        self.refuse: Callable[[Event], bool] = lambda _: False
        self.naps: list[float] = []

    def carry_out(self, command: Command, *, sleep: Callable[[float], Awaitable[None]] | None = None) -> Settled:
        """What comes of one attempt."""

        async def story() -> Settled:
            self.line.publish([command])
            await self.line.take(1)
            endpoint = Endpoint(fleet.Endpoint(name="lab", driver="lab"), self.lab)
            attempt = Attempt(
                command,
                endpoint,
                self.line,
                attempt="a1",
                clock=self.clock,
                sleep=sleep or self.nap,
                config=self.config,
            )
            return await self.beside_the_engine(attempt.carry_out())

        return run(story())

    async def nap(self, seconds: float) -> None:
        """Let the time pass at once."""
        self.naps.append(seconds)
        self.clock.advance(seconds)
        await asyncio.sleep(0)

    async def beside_the_engine(self, story: Coroutine[Any, Any, _T]) -> _T:
        """See the story through while the engine commits, or refuses, what is reported."""
        telling = asyncio.create_task(story)
        while not telling.done():
            for event in self.line.take_events(1_000):
                self._answer(event)
            await asyncio.sleep(0)
        return telling.result()

    def _answer(self, event: Event) -> None:
        if self.refuse(event):
            self.lab.diary.append(f"refused {_said(event)}")
            self.line.answer([(event, Verdict(refused="the subtask is over", over=True))])
        else:
            self.events.append(event)
            self.lab.diary.append(_said(event))
            self.line.answer([(event, Verdict(over=isinstance(event, Settled)))])

    @property
    def diary(self) -> list[str]:
        return self.lab.diary

    def submits(self) -> int:
        return len(self.lab.requests)


def run(story: Coroutine[Any, Any, _T]) -> _T:
    """See a story through, in bounded time."""
    return asyncio.run(asyncio.wait_for(story, STORY_SECONDS_MAX))


async def never() -> NoReturn:
    """Wait for what does not come."""
    await asyncio.Event().wait()
    raise AssertionError


def a_command(task_type: TaskType = TaskType.RESTART_SERVER, **fields: object) -> Command:
    """To do something to h1, by five minutes after NOW, without force."""
    command = Command(
        execution_id="e1",
        ordinal=1,
        server_id="s1",
        endpoint="lab",
        handle="h1",
        task_type=task_type,
        enforcement=False,
        start_until=after(300),
    )
    return msgspec.structs.replace(command, **fields)


def begun(task_type: TaskType = TaskType.RESTART_SERVER, **fields: object) -> Command:
    """The same, begun by an earlier worker that saw boot-1 and left no ticket."""
    left: dict[str, object] = {
        "began_at": after(-5),
        "settle_until": after(895),
        "boot_marker": "boot-1",
        "sends": 1,
    }
    return msgspec.structs.replace(a_command(task_type), **(left | fields))


def _said(event: Event) -> str:
    match event:
        case TakenUp():
            return "taken up"
        case Began():
            return f"began {event.sends}"
        case Submitted():
            return "submitted"
        case Settled():
            return "settled"
