"""Seeded worlds in which everything goes wrong, and every promise is kept."""

from __future__ import annotations

import pytest

from simulation.faults import Kind, Mood
from simulation.seeds import SEEDS, regressions, span, tell
from simulation.world import Plant, broken_in, run

CHUNK = 100


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_the_promises_are_kept_in_every_world(first: int) -> None:
    for seed in range(first, first + CHUNK):
        story = run(seed)
        assert not (broken := broken_in(story)), tell(story, broken)


@pytest.mark.parametrize(("seed", "reason"), regressions())
def test_what_was_broken_once_is_kept_now(seed: int, reason: str) -> None:
    story = run(seed)
    assert not (broken := broken_in(story)), f"{reason}\n{tell(story, broken)}"


# The line is wiped again and again, and nothing else goes wrong.
WIPED = Mood(kinds=(Kind.LINE_WIPED,), dies=0.0, freezes=0.0, answer_lost=0.0, waits=0.05, lossy=False, troubled=True)


@pytest.mark.parametrize("seed", [153, 161, 177, 452, 566])
def test_a_worker_that_lost_its_command_while_it_switched_a_server_off_does_not_reinstall_it(seed: int) -> None:
    story = run(seed, Plant(mood=WIPED))
    assert not (broken := broken_in(story)), tell(story, broken)


def test_a_seed_tells_the_same_story_every_time() -> None:
    assert run(7).trace == run(7).trace


def test_worlds_are_eventful() -> None:
    stories = [run(seed) for seed in range(30)]
    assert sum(len(story.executions) for story in stories) > 100
    assert sum(len(story.orders) for story in stories) > 60
    assert {fault for story in stories for fault in story.faults} > set(Kind)
    ends = {subtask.result_code for story in stories for subtask in story.subtasks}
    assert len(ends) > 6


def test_spans_of_seeds_are_read_as_the_manual_says() -> None:
    assert span("3") == range(3)
    assert span("5..9") == range(5, 10)
    assert list(span("7..7")) == [7]
