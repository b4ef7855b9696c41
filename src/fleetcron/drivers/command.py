"""Servers that are operated on by the operator's own commands: anything that a program can reach.

A command is a list of arguments and never passes through a shell. docs/drivers.md says what each must do.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from fleetcron.domain.execution import Evidence
from fleetcron.domain.fleet import Power
from fleetcron.domain.task import TaskType
from fleetcron.drivers.contract import Capabilities, Observation, Poll, Progress, Request
from fleetcron.drivers.printout import last_line, printable, read_observation
from fleetcron.drivers.process import Child, Finished
from fleetcron.errors import Busy, DriverError, Permanent, Retryable

ENDED_KEPT_MAX = 10_000

Argv = Annotated[tuple[str, ...], Meta(min_length=1)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]


class CommandConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The commands of one endpoint, argument by argument, with ``{placeholders}``; docs/drivers.md says it key by key.

    ``counts_users`` and ``marks_boots`` promise that ``observe`` prints ``users`` and ``boot_marker`` whenever it can.
    """

    observe: Argv
    start: Argv | None = None
    stop: Argv | None = None
    restart: Argv | None = None
    reinstall: Argv | None = None
    force_stop: Argv | None = None
    force_restart: Argv | None = None
    notify: Argv | None = None
    counts_users: bool = False
    marks_boots: bool = False
    observe_timeout_seconds: Seconds = 10.0
    timeout_seconds: Seconds = 300.0
    concurrency_max: Annotated[int, Meta(ge=1, le=1000)] = 16
    environment: dict[str, str] = {}
    directory: str | None = None

    def __post_init__(self) -> None:
        for name in ("observe", "start", "stop", "restart", "reinstall", "force_stop", "force_restart", "notify"):
            argv: tuple[str, ...] | None = getattr(self, name)
            if argv is not None:
                _check_placeholders(name, argv)

    def operation(self, task_type: TaskType, *, forced: bool) -> tuple[str, ...] | None:
        """Say which command carries out ``task_type``: where no hard form is given, the ordinary one."""
        ordinary = {
            TaskType.START_SERVER: self.start,
            TaskType.STOP_SERVER: self.stop,
            TaskType.RESTART_SERVER: self.restart,
            TaskType.REINSTALL_OS: self.reinstall,
        }[task_type]
        hard = {TaskType.STOP_SERVER: self.force_stop, TaskType.RESTART_SERVER: self.force_restart}.get(task_type)
        return hard or ordinary if forced else ordinary


class CommandDriver:
    """Operates the servers of one endpoint by commands; see ``Driver`` for what a caller may rely on.

    At most ``operations_max`` operations run at once, and beside them ``concurrency_max`` looks and notices.
    A command that runs longer than its timeout is killed with its whole process group.
    """

    def __init__(self, config: CommandConfig, *, operations_max: int) -> None:
        self._config = config
        self._directory = None if config.directory is None else Path(config.directory)
        self._operations_max = operations_max
        self._slots = asyncio.Semaphore(config.concurrency_max)
        self._running: dict[str, _Running] = {}
        self._ended: dict[str, str | None] = {}

    @property
    def capabilities(self) -> Capabilities:
        """The operations whose commands are given, and what the configuration promises."""
        config = self._config
        return Capabilities(
            task_types=frozenset(kind for kind in TaskType if config.operation(kind, forced=False) is not None),
            counts_users=config.counts_users,
            marks_boots=config.marks_boots,
            notifies=config.notify is not None,
            bulk_max=config.concurrency_max,
            # A command outlives us: one that was started before a crash may still come to its point.
            acts_within_seconds=config.timeout_seconds,
        )

    async def observe(self, handles: Sequence[str]) -> Mapping[str, Observation | DriverError]:
        """Run the observing command once for each server."""
        seen = await asyncio.gather(*(self._look_or_error(handle) for handle in handles))
        return dict(zip(handles, seen, strict=True))

    async def submit(self, request: Request) -> str:
        """Start the operation's command and return without waiting for it.

        Raises:
            Busy: a command of ours still runs for this server, and the request is not forced.
            Retryable: too much runs already.
            Permanent: there is no command for this, or it cannot be started.
        """
        argv = self._config.operation(request.task_type, forced=request.forced)
        if argv is None:
            raise Permanent(f"no command is configured for {request.task_type}")
        ticket = msgspec.json.encode(request).decode()
        self._check_room(request, ticket)
        child = self._start(argv, {"handle": request.handle, "request_id": request.request_id})
        self._ended.pop(ticket, None)
        watch = asyncio.create_task(self._watch(ticket, child))
        self._running[ticket] = _Running(request.handle, child, watch)
        return ticket

    async def poll(self, tickets: Sequence[str]) -> Mapping[str, Poll | DriverError]:
        """Say how far many tickets have come; those of another process by looking at the server alone."""
        answers = await asyncio.gather(*(self._progress_or_error(ticket) for ticket in tickets))
        return dict(zip(tickets, answers, strict=True))

    async def notify(self, handle: str, text: str) -> None:
        """Run the notifying command.

        Raises:
            Retryable: it failed, or took too long.
            Permanent: there is none, or it cannot be started.
        """
        if self._config.notify is None:
            raise Permanent("no command is configured for notify")
        await self._run("notify", self._config.notify, {"handle": handle, "text": text})

    async def aclose(self) -> None:
        """Stop watching. Commands that still run are the operator's: they run on."""
        left = list(self._running.values())
        for running in left:
            running.watch.cancel()
        await asyncio.gather(*(running.watch for running in left), return_exceptions=True)
        for running in left:
            # A watch that was cancelled before its first step has let go of nothing.
            running.child.release()
        self._running.clear()

    def _check_room(self, request: Request, ticket: str) -> None:
        if ticket in self._running or (not request.forced and self._is_running(request.handle)):
            raise Busy(f"a command still runs for {request.handle}")
        if len(self._running) >= self._operations_max:
            raise Retryable(f"{len(self._running)} commands run already")

    def _is_running(self, handle: str) -> bool:
        return any(running.handle == handle for running in self._running.values())

    async def _watch(self, ticket: str, child: Child) -> None:
        try:
            finished = await child.finish(self._config.timeout_seconds)
        finally:
            child.release()
            self._running.pop(ticket, None)
        self._ended[ticket] = _failure(finished, self._config.timeout_seconds)
        while len(self._ended) > ENDED_KEPT_MAX:
            # What is forgotten is asked of the server itself, as after a restart of the service.
            del self._ended[next(iter(self._ended))]

    async def _progress_or_error(self, ticket: str) -> Poll | DriverError:
        try:
            return await self._progress(ticket)
        except DriverError as error:
            return error

    async def _progress(self, ticket: str) -> Poll:
        try:
            request = msgspec.json.decode(ticket, type=Request)
        except msgspec.DecodeError as error:
            raise Permanent("the ticket is not one of a command") from error
        if ticket in self._running:
            return Poll(progress=Progress.PENDING)
        reason = self._ended.get(ticket)
        if reason is not None:
            return Poll(progress=Progress.FAILED, reason=reason)
        evidence = _proof(request, await self._look(request.handle), ended_well=ticket in self._ended)
        if evidence is None:
            return Poll(progress=Progress.PENDING)
        return Poll(progress=Progress.DONE, evidence=evidence)

    async def _look_or_error(self, handle: str) -> Observation | DriverError:
        try:
            return await self._look(handle)
        except DriverError as error:
            return error

    async def _look(self, handle: str) -> Observation:
        finished = await self._run("observe", self._config.observe, {"handle": handle})
        return read_observation(finished.stdout)

    async def _run(self, name: str, argv: Sequence[str], values: Mapping[str, str]) -> Finished:
        timeout_seconds = self._config.observe_timeout_seconds
        async with self._slots:
            child = self._start(argv, values)
            try:
                finished = await child.finish(timeout_seconds)
            finally:
                await child.kill()
                child.release()
        failure = _failure(finished, timeout_seconds)
        if failure is not None:
            raise Retryable(f"{name}: {failure}")
        return finished

    def _start(self, argv: Sequence[str], values: Mapping[str, str]) -> Child:
        filled = [_fill(argument, values) for argument in argv]
        return Child(filled, environment=self._config.environment, directory=self._directory)


class _Running(NamedTuple):
    handle: str
    child: Child
    watch: asyncio.Task[None]


_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_GOALS = {TaskType.START_SERVER: Power.ON, TaskType.STOP_SERVER: Power.OFF}


def _check_placeholders(name: str, argv: Sequence[str]) -> None:
    known = {"observe": {"handle"}, "notify": {"handle", "text"}}.get(name, {"handle", "request_id"})
    if _PLACEHOLDER.search(argv[0]):
        raise ValueError(f"{name}: the program itself cannot be a placeholder")
    for placeholder in _PLACEHOLDER.findall(" ".join(argv)):
        if placeholder not in known:
            raise ValueError(f"{name}: {{{placeholder}}} is not one of {', '.join(sorted(known))}")


def _fill(argument: str, values: Mapping[str, str]) -> str:
    filled = _PLACEHOLDER.sub(lambda found: values[found[1]], argument)
    if "\0" in filled:
        raise Permanent("an argument holds a NUL character")
    if filled.startswith("-") and not argument.startswith("-"):
        # A server that is called --all must not become an option of the operator's command.
        raise Permanent(f"{printable(filled)} would be read as an option")
    return filled


def _failure(finished: Finished, timeout_seconds: float) -> str | None:
    if finished.exit_code == 0:
        return None
    if finished.exit_code is None:
        return f"did not end within {timeout_seconds:g} s and was cut off"
    words = last_line(finished.stderr) or last_line(finished.stdout)
    ending = f"exit code {finished.exit_code}" if finished.exit_code > 0 else f"killed by signal {-finished.exit_code}"
    return f"{ending}: {words}" if words else ending


def _proof(request: Request, seen: Observation, *, ended_well: bool) -> Evidence | None:
    """Say what proves that the operation is done; None if nothing does yet.

    A command that ended well is believed only where the server cannot show it.
    """
    if seen.busy:
        return None
    goal = _GOALS.get(request.task_type)
    if goal is not None:
        unseen = seen.power is Power.UNKNOWN
        proof = Evidence.POWER_SEEN if seen.power is goal else None
    else:
        # A marker that was missing before proves nothing now, and "on" never proves a restart.
        unseen = request.boot_marker is None and seen.power in {Power.ON, Power.UNKNOWN}
        proof = Evidence.BOOT_MARKER_CHANGED if seen.power is Power.ON and _booted(request, seen) else None
    return proof or (Evidence.ACCEPTED if unseen and ended_well else None)


def _booted(request: Request, seen: Observation) -> bool:
    return None not in {request.boot_marker, seen.boot_marker} and request.boot_marker != seen.boot_marker
