from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from builders import after
from fleetcron.dispatch.contract import Command
from fleetcron.dispatch.nats.held import Delivery, Holdings
from fleetcron.domain.task import TaskType


class Elapsed:
    """Seconds that pass when the test says so."""

    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def a_command(ordinal: int = 1) -> Command:
    return Command(
        execution_id="e1",
        ordinal=ordinal,
        server_id="s",
        endpoint="lab",
        handle="h",
        task_type=TaskType.RESTART_SERVER,
        enforcement=False,
        start_until=after(300),
    )


def holding(elapsed: Elapsed, command: Command) -> tuple[Holdings, Delivery]:
    """Hold a command that was asked for just now, with an ack_wait of 10 s: it is surely ours for 8 s."""
    holdings = Holdings(ack_wait_seconds=10, elapsed=elapsed)
    holdings.add(command, reply="r", source="made once", asked_at=elapsed())
    delivery = holdings.find(command.reference)
    assert delivery is not None
    return holdings, delivery


def test_it_is_ours_from_when_it_was_asked_for_until_a_margin_before_the_end_of_ack_wait() -> None:
    elapsed = Elapsed()
    holdings, delivery = holding(elapsed, a_command())
    elapsed.seconds += 7.9
    assert holdings.find(("e1", 1)) is delivery
    elapsed.seconds += 0.1
    assert holdings.find(("e1", 1)) is None
    assert holdings.all() == []


def test_a_proof_counts_from_when_it_was_asked_for() -> None:
    elapsed = Elapsed()
    holdings, delivery = holding(elapsed, a_command())
    asked_at = elapsed.seconds + 5
    elapsed.seconds += 7
    holdings.prove([delivery], source="made once", asked_at=asked_at)
    elapsed.seconds = asked_at + 7.9
    assert holdings.find(("e1", 1)) is delivery
    elapsed.seconds = asked_at + 8
    assert holdings.find(("e1", 1)) is None


def test_what_ran_out_is_not_brought_back_by_a_late_proof() -> None:
    elapsed = Elapsed()
    holdings, delivery = holding(elapsed, a_command())
    asked_at = elapsed.seconds + 5
    elapsed.seconds += 8
    holdings.prove([delivery], source="made once", asked_at=asked_at)
    assert holdings.find(("e1", 1)) is None


def test_a_consumer_that_was_made_anew_proves_nothing_of_what_the_old_one_gave() -> None:
    elapsed = Elapsed()
    holdings, delivery = holding(elapsed, a_command())
    holdings.add(a_command(2), reply="r", source="made anew", asked_at=elapsed())
    holdings.prove([delivery], source="made anew", asked_at=elapsed())
    assert holdings.find(("e1", 1)) is None
    assert holdings.find(("e1", 2)) is not None


def test_an_equal_command_of_an_earlier_delivery_is_not_this_one() -> None:
    elapsed = Elapsed()
    first, again = a_command(), msgspec.structs.replace(a_command())
    holdings, earlier = holding(elapsed, first)
    holdings.add(again, reply="r2", source="made once", asked_at=elapsed())
    delivery = holdings.find(("e1", 1))
    assert delivery is not None
    assert delivery is not earlier
    assert first == again
    assert (delivery.is_of(first), delivery.is_of(again)) == (False, True)


def test_what_was_left_is_of_the_delivery_that_was_taken_up() -> None:
    _, delivery = holding(Elapsed(), a_command())
    delivery.left = msgspec.structs.replace(a_command(), began_at=datetime.now(UTC))
    assert delivery.is_of(delivery.left)


def test_whoever_waits_is_told_when_a_delivery_is_dropped() -> None:
    elapsed = Elapsed()
    holdings, delivery = holding(elapsed, a_command())
    heard: list[str] = []
    delivery.waiting.add(heard.append)
    elapsed.seconds += 8
    assert holdings.all() == []
    assert heard == ["the command may have been given to another worker"]
    assert len(holdings) == 0


def test_dropping_an_earlier_delivery_leaves_the_later_one() -> None:
    elapsed = Elapsed()
    holdings, earlier = holding(elapsed, a_command())
    holdings.add(a_command(), reply="r2", source="made once", asked_at=elapsed())
    holdings.drop(earlier, "late")
    assert holdings.find(("e1", 1)) is not None
