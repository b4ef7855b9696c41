"""What a worker holds, and until when it can be sure that nobody else was given it.

JetStream gives a command to somebody else when it has not heard of it for ``ack_wait``. It counts from its own last
action, which was before we heard of it and after we had asked for it: so we count from when we asked, by a clock that
never stops. Once that time has passed unproven the command is lost to us for good, whatever is heard later: another
worker may have had it in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from fleetcron.dispatch.contract import Command
from fleetcron.domain.execution import Reference

ANOTHERS: Final = "the command may have been given to another worker"
MARGIN: Final = 0.2
"""The part of ``ack_wait`` that we do not count on."""


@dataclass(eq=False, kw_only=True)
class Delivery:
    """One command as it was handed to us, this time."""

    command: Command
    reply: str
    source: str
    sure_until: float
    attempt: str | None = None
    left: Command | None = None
    waiting: set[Callable[[str], None]] = field(default_factory=set)

    def is_of(self, command: Command) -> bool:
        """Whether this very object was given for this delivery: an equal one may be of an earlier delivery."""
        return command is self.command or command is self.left


class Holdings:
    """The deliveries that a worker holds. ``find`` may be called from any thread, the rest from the link's."""

    def __init__(self, *, ack_wait_seconds: float, elapsed: Callable[[], float]) -> None:
        self._sure_seconds = ack_wait_seconds * (1 - MARGIN)
        self._elapsed = elapsed
        self._deliveries: dict[Reference, Delivery] = {}

    def __len__(self) -> int:
        return len(self._deliveries)

    def add(self, command: Command, *, reply: str, source: str, asked_at: float) -> None:
        """Hold a command that came from ``source``, a consumer as it was then, and had been asked for at that time."""
        self.drop(self._deliveries.get(command.reference), "it was handed to us again")
        sure_until = asked_at + self._sure_seconds
        self._deliveries[command.reference] = Delivery(
            command=command, reply=reply, source=source, sure_until=sure_until
        )

    def find(self, reference: Reference) -> Delivery | None:
        """What we hold for a subtask and nobody else can have been given."""
        delivery = self._deliveries.get(reference)
        if delivery is None or self._elapsed() >= delivery.sure_until:
            return None
        return delivery

    def all(self) -> list[Delivery]:
        """What we hold and nobody else can have been given; the rest is dropped."""
        now = self._elapsed()
        for delivery in [one for one in self._deliveries.values() if now >= one.sure_until]:
            self.drop(delivery, ANOTHERS)
        return list(self._deliveries.values())

    def prove(self, deliveries: Iterable[Delivery], *, source: str, asked_at: float) -> None:
        """These were ours at that time, as this source has said since; what came from another source is not."""
        now = self._elapsed()
        for delivery in deliveries:
            # Heard too late it proves nothing: in between the time may have run out at the other end, too.
            if delivery.source == source and now < delivery.sure_until:
                delivery.sure_until = asked_at + self._sure_seconds
            elif delivery.source != source:
                self.drop(delivery, ANOTHERS)

    def drop(self, delivery: Delivery | None, reason: str) -> None:
        """Hold this no more; whoever waits for it is told why."""
        if delivery is None:
            return
        if self._deliveries.get(delivery.command.reference) is delivery:
            del self._deliveries[delivery.command.reference]
        for tell in list(delivery.waiting):
            tell(reason)
