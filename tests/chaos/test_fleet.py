"""The fleet of the chaos test is one world for all who come to it, and writes down who did what."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chaos import driver, fleet
from fleetcron.domain.fleet import Endpoint, Power
from fleetcron.domain.task import TaskType
from fleetcron.drivers.contract import Observation, Poll, Progress, Request
from fleetcron.drivers.registry import open_driver
from fleetcron.drivers.simulated import SimulatedConfig
from fleetcron.errors import Busy, Indeterminate, Retryable

LAB = SimulatedConfig(boot_seconds=(30, 30), stop_seconds=(0, 0), volatile=True)
REQUEST = Request(
    request_id="e1/1/1/RESTART_SERVER", task_type=TaskType.RESTART_SERVER, handle="a", forced=False, boot_marker=None
)


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Iterator[fleet.Fleet]:
    """A fleet from which every answer comes."""
    monkeypatch.setattr(fleet, "LOST_ANSWERS", 0.0)
    with fleet.fleet({"lab": LAB}, seed=1) as made:
        yield made


def a_driver(lab: fleet.Fleet) -> driver.FleetDriver:
    return driver.FleetDriver("lab", driver.FleetSettings(port=lab.port))


def test_what_one_worker_does_another_sees(lab: fleet.Fleet) -> None:
    async def story() -> None:
        one, other = a_driver(lab), a_driver(lab)
        try:
            ticket = await one.submit(REQUEST)
            assert (await other.poll([ticket]))[ticket] == Poll(progress=Progress.PENDING)
            seen = (await other.observe(["a", "b"]))["a"]
            assert isinstance(seen, Observation)
            assert (seen.power, seen.busy) == (Power.TRANSITION, True)
            with pytest.raises(Busy):
                await other.submit(REQUEST)
        finally:
            await one.aclose()
            await other.aclose()

    asyncio.run(story())
    told = [(touch.verb, touch.handle, touch.answer, touch.subtask) for touch in lab.journal]
    assert told == [
        ("submit", "a", "accepted", "e1/1"),
        ("poll", "a", "accepted", None),
        ("observe", "a", "accepted", None),
        ("observe", "b", "accepted", None),
        ("submit", "a", "Busy", "e1/1"),
    ]
    assert {touch.worker for touch in lab.journal} == {os.getpid()}


def test_an_order_whose_answer_is_lost_was_given_and_is_in_doubt(
    lab: fleet.Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "LOST_ANSWERS", 1.0)
    monkeypatch.setattr(driver, "ANSWER_SECONDS_MAX", 0.5)

    async def story() -> None:
        one = a_driver(lab)
        try:
            with pytest.raises(Indeterminate):
                await one.submit(REQUEST)
        finally:
            await one.aclose()

    asyncio.run(story())
    assert [(touch.verb, touch.answer) for touch in lab.journal] == [("submit", "accepted")]


def test_a_fleet_that_is_away_was_told_nothing() -> None:
    async def story() -> None:
        one = driver.FleetDriver("lab", driver.FleetSettings(port=1))
        with pytest.raises(Retryable):
            await one.submit(REQUEST)
        await one.aclose()

    asyncio.run(story())


def test_a_process_that_has_the_offer_on_its_path_finds_the_driver_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(driver.offer(tmp_path / "site"))
    endpoint = Endpoint(name="lab", driver=driver.NAME, settings={"port": 1})
    opened = open_driver(endpoint, state_dir=tmp_path, clock=lambda: datetime.now(UTC))
    assert isinstance(opened, driver.FleetDriver)
