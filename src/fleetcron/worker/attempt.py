"""One command carried out: observed before anything is sent, written down before it is sent, proven before it ends.

The order is the promise. *Began*, with the server's boot marker, is committed before the driver is told; whoever
comes after a crash finds it, observes first, and sends again only what is known not to have happened. An attempt
whose command may be another worker's by now tells the server nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from fleetcron.dispatch.contract import Began, Command, Settled, Submitted, WorkerEnd
from fleetcron.domain.execution import Evidence, ResultCode, short
from fleetcron.domain.fleet import Power
from fleetcron.domain.task import TaskType
from fleetcron.drivers.contract import Observation, Progress, Request
from fleetcron.errors import Busy, DriverError, Permanent, Retryable, Unavailable
from fleetcron.worker.endpoint import Endpoint
from fleetcron.worker.limits import AttemptConfig
from fleetcron.worker.proof import is_already_there, is_idle, proof

FIRST_POLL_SECONDS = 0.5
POLL_GROWTH = 2.0
POLL_SECONDS_MAX = 2.0
SENDS_MAX = 3


class Failed(Exception):
    """The attempt is over without success."""

    def __init__(self, code: ResultCode, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Attempt:
    """Carries out one command at one endpoint, under the name ``attempt``; one that was begun before is taken up."""

    def __init__(
        self,
        command: Command,
        endpoint: Endpoint,
        line: WorkerEnd,
        *,
        attempt: str,
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]],
        config: AttemptConfig,
    ) -> None:
        self._command = command
        self._attempt = attempt
        self._endpoint = endpoint
        self._line = line
        self._clock = clock
        self._sleep = sleep
        self._config = config
        self._sends = command.sends
        self._boot_marker = command.boot_marker
        self._settle_until = command.settle_until or command.start_until + config.limit(command.task_type)
        self._send_until = command.start_until

    async def carry_out(self) -> Settled:
        """See the command through to its end and say how it ended; the caller reports it.

        Raises:
            Unavailable: a report was refused, or the command may be another worker's by now; it is no longer ours.
        """
        try:
            self._refuse_if_incapable()
            if self._command.began_at is None:
                evidence = await self._from_the_start()
            else:
                evidence = await self._from_where_it_was_left()
        except Failed as end:
            return self._settled(result_code=end.code, result_message=short(end.message))
        return self._settled(evidence=evidence)

    async def _from_the_start(self) -> Evidence:
        seen = await self._first_look()
        self._refuse_if_used(seen)
        await self._begin(seen)
        if is_already_there(self._command.task_type, seen):
            return Evidence.POWER_SEEN
        await self._warn(seen)
        if self._command.task_type is TaskType.REINSTALL_OS and seen.power is not Power.OFF:
            await self._begin(await self._switch_off())
        return await self._send()

    async def _from_where_it_was_left(self) -> Evidence:
        if self._command.ticket is not None:
            return await self._follow(self._command.ticket)
        return await self._resolve_doubt("an earlier worker stopped before it knew")

    async def _first_look(self) -> Observation:
        """Observe the server, idle, before its start limit."""
        while True:
            if self._clock() > self._send_until:
                raise Failed(ResultCode.MISSED, f"Could not begin by {self._send_until:%H:%M:%S} UTC.")
            try:
                seen = await self._endpoint.observe(self._command.handle)
            except Retryable as error:
                await self._wait_to_begin(error.retry_after_seconds, ResultCode.UNREACHABLE, error.reason)
                continue
            except DriverError as error:
                raise Failed(ResultCode.REFUSED, error.reason) from error
            if is_idle(seen):
                return seen
            await self._wait_to_begin(1.0, ResultCode.CONFLICT, "The server is in the middle of another operation.")

    async def _wait_to_begin(self, seconds: float, code: ResultCode, reason: str) -> None:
        """Wait before another try, or end the attempt with this reason when that would be too late."""
        if self._clock() + timedelta(seconds=seconds) > self._send_until:
            raise Failed(code, reason)
        await self._sleep(seconds)

    def _refuse_if_incapable(self) -> None:
        if self._command.task_type not in self._endpoint.capabilities.task_types:
            raise Failed(ResultCode.REFUSED, f"Endpoint {self._endpoint.name} cannot do this.")

    def _refuse_if_used(self, seen: Observation) -> None:
        """Leave people's work alone unless told otherwise (house ruling 3)."""
        if self._command.enforcement or self._command.task_type is TaskType.START_SERVER:
            return
        if seen.power is Power.OFF or not self._endpoint.capabilities.counts_users or seen.users == 0:
            return
        who = "It is not known whether anybody uses" if seen.users is None else f"{seen.users} user(s) on"
        raise Failed(ResultCode.USERS, f"{who} the server, and the task does not enforce.")

    async def _begin(self, seen: Observation) -> None:
        """Write down that the server is about to be told, and what was seen of it before."""
        now = self._clock()
        self._sends += 1
        self._boot_marker = seen.boot_marker
        if self._sends == 1:
            self._settle_until = now + self._config.limit(self._command.task_type)
        await self._line.report(
            Began(
                execution_id=self._command.execution_id,
                ordinal=self._command.ordinal,
                attempt=self._attempt,
                began_at=now,
                settle_until=self._settle_until,
                boot_marker=seen.boot_marker,
                sends=self._sends,
            )
        )

    async def _begin_again(self) -> None:
        """Look anew and write down anew: what was seen before a wait holds no more."""
        seen = await self._first_look()
        self._refuse_if_used(seen)
        await self._begin(seen)

    async def _warn(self, seen: Observation) -> None:
        """Tell the server's users and give them time; at once when nobody is there."""
        if not self._command.enforcement or seen.users == 0 or seen.power is Power.OFF:
            return
        if self._command.task_type is TaskType.START_SERVER or not self._endpoint.capabilities.notifies:
            return
        text = f"This server is about to be operated on in {self._config.notice:.0f} seconds. Please save your work."
        await self._give_up_if_not_ours()
        try:
            await self._endpoint.notify(self._command.handle, text)
        except (DriverError, TimeoutError) as error:
            raise Failed(ResultCode.REFUSED, f"Its users could not be told: {error}") from error
        self._send_until += timedelta(seconds=self._config.notice)
        await self._sleep(self._config.notice)
        # Much may have happened meanwhile, the end of this subtask included: the engine is asked again.
        await self._begin_again()

    async def _switch_off(self) -> Observation:
        """Bring the server down: no disk is touched while it runs. It may take long: then the engine is asked again."""
        try:
            stopping_at = self._clock()
            await self._follow(await self._submit(TaskType.STOP_SERVER))
            # The operation has begun in time; what the stop takes must not leave the server off and not reinstalled.
            self._send_until += self._clock() - stopping_at
            seen = await self._endpoint.observe(self._command.handle)
        except DriverError as error:
            raise Failed(ResultCode.NOT_OFF, f"It is not known whether it is off: {error.reason}") from error
        if seen.power is not Power.OFF:
            raise Failed(ResultCode.NOT_OFF, f"The server must be off to be reinstalled and is {seen.power}.")
        return seen

    async def _send(self) -> Evidence:
        """Tell the server and follow it to the end."""
        try:
            ticket = await self._submit(self._command.task_type)
        except DriverError as error:
            return await self._resolve_doubt(error.reason)
        await self._line.report(
            Submitted(
                execution_id=self._command.execution_id,
                ordinal=self._command.ordinal,
                attempt=self._attempt,
                ticket=ticket,
            )
        )
        return await self._follow(ticket)

    async def _submit(self, task_type: TaskType) -> str:
        """Tell the server once; again only while the driver says that nothing was done.

        Raises:
            DriverError: it may have been done.
        """
        while True:
            # A worker that was frozen and thawed comes to here too: it must not send what is no longer wanted.
            await self._give_up_if_not_ours()
            if self._clock() > min(self._send_until, self._settle_until):
                raise Failed(ResultCode.MISSED, "The server could not be told in time.")
            try:
                return await self._endpoint.submit(self._request(task_type), lambda: self._line.is_ours(self._command))
            except Retryable as error:
                await self._wait_to_begin(error.retry_after_seconds, ResultCode.UNREACHABLE, error.reason)
            except Busy as error:
                await self._wait_to_begin(1.0, ResultCode.CONFLICT, error.reason)
            except Permanent as error:
                raise Failed(ResultCode.REFUSED, error.reason) from error
            await self._begin_again()

    async def _give_up_if_not_ours(self) -> None:
        """Tell the server nothing when another worker may be telling it already; at once when the command is ours."""
        if not self._line.is_ours(self._command):
            await self._line.hand_back(self._command)
            raise Unavailable("the command may be another worker's by now")

    def _request(self, task_type: TaskType) -> Request:
        return Request(
            request_id=f"{self._command.execution_id}/{self._command.ordinal}/{self._sends}/{task_type}",
            task_type=task_type,
            handle=self._command.handle,
            forced=self._command.enforcement,
            boot_marker=self._boot_marker,
        )

    async def _follow(self, ticket: str) -> Evidence:
        """Ask after a ticket until it is done, has failed, or time is up."""
        pause_seconds = FIRST_POLL_SECONDS
        while True:
            try:
                said = await self._endpoint.poll(ticket)
            except Permanent as error:
                raise Failed(ResultCode.UNKNOWN, f"The outcome cannot be known: {error.reason}") from error
            except DriverError:
                said = None
            if said is not None and said.progress is Progress.DONE:
                return said.evidence or Evidence.ACCEPTED
            if said is not None and said.progress is Progress.FAILED:
                raise Failed(ResultCode.FAILED, said.reason or "The server reported a failure.")
            await self._pause(pause_seconds)
            pause_seconds = min(pause_seconds * POLL_GROWTH, POLL_SECONDS_MAX)

    async def _resolve_doubt(self, reason: str) -> Evidence:
        """Find out by looking whether the server was told; tell it again only if it was not (promise 6)."""
        doubt_until = self._doubt_until()
        pause_seconds = FIRST_POLL_SECONDS
        while True:
            # The answer may be long on its way: it tells of the server as it was when it was asked after.
            asked_at = self._clock()
            try:
                seen = await self._endpoint.observe(self._command.handle)
            except DriverError:
                seen = None
            if seen is not None:
                evidence = proof(self._command.task_type, self._boot_marker, seen)
                if evidence is not None:
                    return evidence
                if is_idle(seen) and asked_at >= doubt_until:
                    return await self._send_again(seen, reason)
            await self._pause(pause_seconds)
            pause_seconds = min(pause_seconds * POLL_GROWTH, POLL_SECONDS_MAX)

    def _doubt_until(self) -> datetime:
        """Until when an order that may have been given can still show its effect."""
        doubt_seconds = max(self._config.doubt, self._endpoint.capabilities.acts_within_seconds)
        until = self._clock() + timedelta(seconds=doubt_seconds)
        if self._command.enforcement and self._command.began_at is not None:
            # The users may have been promised this time before the earlier worker stopped.
            noticed_until = self._command.began_at + timedelta(seconds=self._config.notice)
            self._send_until += timedelta(seconds=self._config.notice)
            until = max(until, noticed_until)
        return until

    async def _send_again(self, seen: Observation, reason: str) -> Evidence:
        """Send once more what is seen not to have happened; where that cannot be seen, say so and stop."""
        unknown = Failed(ResultCode.UNKNOWN, f"The outcome cannot be known: {reason}.")
        if self._command.task_type is TaskType.REINSTALL_OS or self._sends >= SENDS_MAX:
            raise unknown
        if self._command.task_type is TaskType.RESTART_SERVER and None in (seen.boot_marker, self._boot_marker):
            raise unknown
        if self._clock() > self._send_until:
            raise unknown
        self._refuse_if_used(seen)
        await self._begin(seen)
        return await self._send()

    async def _pause(self, seconds: float) -> None:
        """Wait before another look; end the attempt when its deadline has passed."""
        if self._clock() >= self._settle_until:
            raise Failed(ResultCode.TIMEOUT, f"Not done by its deadline, {self._settle_until:%H:%M:%S} UTC.")
        await self._sleep(seconds)

    def _settled(
        self,
        *,
        evidence: Evidence | None = None,
        result_code: ResultCode | None = None,
        result_message: str | None = None,
    ) -> Settled:
        return Settled(
            execution_id=self._command.execution_id,
            ordinal=self._command.ordinal,
            attempt=self._attempt,
            ended_at=self._clock(),
            evidence=evidence,
            result_code=result_code,
            result_message=result_message,
        )
