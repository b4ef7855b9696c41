"""What each event makes of a subtask, and what is answered: the first end wins, and nothing moves after it.

A subtask belongs to the attempt that took it up last or, where none did, to the first that began it. What another says
of it is refused. The same event of the same attempt again is accepted again and moves nothing: the first answer to it
may have been lost.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import assert_never

import msgspec

from fleetcron.dispatch.contract import ACCEPTED, Began, Event, Settled, Submitted, TakenUp, Verdict
from fleetcron.domain.execution import ResultCode, Status, Subtask

OVER = Verdict(refused="the subtask is over", over=True)
ANOTHERS = Verdict(refused="another attempt carries the subtask out")
UNBEGUN = Verdict(refused="the subtask has not begun")
BEGUN = Verdict(refused="the subtask has begun")
CANCELLED = Verdict(refused="the execution is cancelled")
TOO_LATE = Verdict(refused="it is too late to begin")
FOREIGN = Verdict(refused="the subtask is another site's")
SETTLED = Verdict(over=True)

# They say that nothing was sent. The engine sets them from afar, and a server may have been told meanwhile.
NOTHING_SENT = frozenset({ResultCode.MISSED, ResultCode.CONFLICT, ResultCode.CANCELLED})

NUL = "\0"
# No setting of a worker allows more; what says more is a mistake, or a lie to keep a server for ever.
DEADLINE_MAX = timedelta(days=7)


def step(subtask: Subtask, event: Event) -> tuple[Subtask, Verdict]:
    """The subtask after ``event``, the very same one where nothing moved, and the answer."""
    if subtask.ended_at is not None:
        return subtask, SETTLED if _is_its_end(subtask, event) else OVER
    match event:
        case TakenUp():
            return msgspec.structs.replace(subtask, attempt=event.attempt), ACCEPTED
        case Began():
            return _begin(subtask, event)
        case Submitted() if event.attempt != subtask.attempt:
            return subtask, ANOTHERS
        case Submitted():
            return msgspec.structs.replace(subtask, ticket=event.ticket), ACCEPTED
        case Settled():
            return _settle(subtask, event)
        case _:
            assert_never(event)


def _begin(subtask: Subtask, event: Began) -> tuple[Subtask, Verdict]:
    begun = subtask.began_at is not None
    if subtask.attempt not in (None, event.attempt):
        return subtask, ANOTHERS
    if begun and event.sends == subtask.sends and event.attempt == subtask.attempt:
        return subtask, ACCEPTED
    if not begun and event.sends != 1:
        return subtask, UNBEGUN
    if event.sends <= subtask.sends:
        return subtask, BEGUN
    return msgspec.structs.replace(
        subtask,
        status=Status.RUNNING,
        # Going on keeps the first beginning and its deadline.
        began_at=subtask.began_at or event.began_at,
        settle_until=subtask.settle_until or _deadline(subtask, event),
        boot_marker=event.boot_marker,
        ticket=None,
        sends=event.sends,
        attempt=event.attempt,
    ), ACCEPTED


def _deadline(subtask: Subtask, event: Began) -> datetime:
    """Until when it shall have ended: no sooner than if it had begun as it was handed out.

    A worker whose clock is slow tells a deadline that is over already. It would be ended, and its server given to
    somebody else, while the worker is still at it. And no later than a worker may say: everything ends.
    """
    if subtask.dispatched_at is None:
        return event.settle_until
    limit = min(event.settle_until - event.began_at, DEADLINE_MAX)
    return min(max(event.settle_until, subtask.dispatched_at + limit), subtask.dispatched_at + DEADLINE_MAX)


def _settle(subtask: Subtask, event: Settled) -> tuple[Subtask, Verdict]:
    if event.attempt is None and event.result_code in NOTHING_SENT and subtask.began_at is not None:
        return subtask, BEGUN
    if event.attempt is not None and subtask.attempt not in (None, event.attempt):
        return subtask, ANOTHERS
    message = event.result_message
    return msgspec.structs.replace(
        subtask,
        status=Status.SUCCESS if event.result_code is None else Status.FAILED,
        attempt=event.attempt or subtask.attempt,
        ended_at=event.ended_at,
        evidence=event.evidence,
        result_code=event.result_code,
        # What a driver passes on may hold anything, and the end must be written down: PostgreSQL takes all but this.
        result_message=None if message is None else message.replace(NUL, "\N{REPLACEMENT CHARACTER}"),
    ), SETTLED


def _is_its_end(subtask: Subtask, event: Event) -> bool:
    """Whether this is the event that ended the subtask, said again."""
    return (
        isinstance(event, Settled)
        and event.attempt is not None
        and event.attempt == subtask.attempt
        and event.result_code == subtask.result_code
    )
