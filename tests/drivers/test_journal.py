from pathlib import Path

import pytest

from fleetcron.domain.fleet import Power
from fleetcron.drivers.contract import Observation
from fleetcron.drivers.journal import ACCEPTED, Fact, Journal, answer, observed
from fleetcron.errors import Busy, Retryable


def a_fact(at: float) -> Fact:
    return Fact(at=at, verb="observe", handle="h1", answer=ACCEPTED)


def test_what_one_writes_another_reads_once_and_in_order(tmp_path: Path) -> None:
    one, other = Journal(tmp_path / "world.jsonl"), Journal(tmp_path / "world.jsonl")
    one.append([a_fact(1), a_fact(2)])
    assert [fact.at for fact in other.read_on()] == [1, 2]
    other.append([a_fact(3)])
    assert [fact.at for fact in other.read_on()] == [3]
    assert other.read_on() == []
    one.close()
    other.close()


def test_a_torn_last_line_never_happened(tmp_path: Path) -> None:
    path = tmp_path / "world.jsonl"
    journal = Journal(path)
    journal.append([a_fact(1)])
    journal.close()
    with path.open("ab") as file:
        file.write(b'{"at": 2, "verb": "obs')
    journal = Journal(path)
    journal.append([a_fact(3)])
    assert [fact.at for fact in journal.read_on()] == [1, 3]
    journal.close()
    journal.close()


def test_a_journal_that_cannot_be_written_says_that_nothing_happened(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "world.jsonl")
    journal.close()
    with pytest.raises(Retryable):
        journal.append([a_fact(1)])


def test_an_answer_is_named_after_what_the_caller_got() -> None:
    assert answer(None) == ACCEPTED
    assert answer(Busy("no")) == "Busy"


def test_an_observation_is_kept_as_it_was_seen() -> None:
    fact = observed("h1", Observation(power=Power.OFF, boot_marker="b", users=2), 5.0)
    assert (fact.power, fact.boot_marker, fact.users, fact.answer) == (Power.OFF, "b", 2, ACCEPTED)
    assert observed("h1", Retryable("away"), 5.0).answer == "Retryable"
