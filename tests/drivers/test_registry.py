from __future__ import annotations

import asyncio
import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from fleetcron.domain.fleet import Endpoint
from fleetcron.drivers.command import CommandConfig, CommandDriver
from fleetcron.drivers.contract import Driver
from fleetcron.drivers.registry import DRIVER_NAMES, ENTRY_POINTS, open_driver
from fleetcron.drivers.simulated import SimulatedConfig, SimulatedDriver
from fleetcron.errors import BadSettings

GUIDE = Path(__file__).parents[2] / "docs" / "drivers.md"


def opened(driver: str, settings: dict[str, object], folder: Path) -> Driver:
    endpoint = Endpoint(name="rack-1", driver=driver, settings=settings)
    return open_driver(endpoint, state_dir=folder, clock=lambda: datetime.now(UTC))


def test_an_endpoint_gets_the_driver_that_it_names(tmp_path: Path) -> None:
    simulated = opened("simulated", {}, tmp_path / "state")
    command = opened("command", {"observe": ["true"]}, tmp_path / "state")
    assert isinstance(simulated, SimulatedDriver)
    assert isinstance(command, CommandDriver)
    assert (tmp_path / "state" / "simulated-rack-1.jsonl").exists()
    asyncio.run(simulated.aclose())
    asyncio.run(command.aclose())


@pytest.mark.parametrize(
    ("driver", "settings", "named"),
    [
        ("telepathy", {}, "telepathy"),
        ("simulated", {"sede": 1}, "sede"),
        ("simulated", {"seed": "one"}, "seed"),
        ("simulated", {"hang_probability": 1.5}, "hang_probability"),
        ("simulated", {"boot_seconds": [5, 2]}, "boot_seconds"),
        ("simulated", {"boot_seconds": 5}, "boot_seconds"),
        ("simulated", {"initial_power": "HALF"}, "initial_power"),
        ("simulated", {"users": {"a": -1}}, "users"),
        ("simulated", {"volatile": True, "journal_observations": True}, "journal_observations"),
        ("command", {}, "observe"),
        ("command", {"observe": []}, "observe"),
        ("command", {"observe": "look {handle}"}, "observe"),
        ("command", {"observe": ["look"], "reboot": ["x"]}, "reboot"),
        ("command", {"observe": ["look", "{request_id}"]}, "{request_id}"),
        ("command", {"observe": ["look"], "start": ["x", "{handle.__class__}", "{hnadle}"]}, "{hnadle}"),
        ("command", {"observe": ["{handle}"]}, "observe"),
        ("command", {"observe": ["look"], "timeout_seconds": 0}, "timeout_seconds"),
        ("command", {"observe": ["look"], "concurrency_max": 0}, "concurrency_max"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_by_endpoint_and_key(
    driver: str, settings: dict[str, object], named: str, tmp_path: Path
) -> None:
    with pytest.raises(BadSettings) as caught:
        opened(driver, settings, tmp_path)
    assert caught.value.where == "endpoint rack-1"
    assert named in caught.value.reason


def test_an_unknown_driver_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(BadSettings) as caught:
        opened("telepathy", {}, tmp_path)
    assert all(name in caught.value.reason for name in DRIVER_NAMES)


def test_a_journal_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "simulated-rack-1.jsonl").write_text("no journal\n")
    with pytest.raises(BadSettings, match=r"simulated-rack-1\.jsonl"):
        opened("simulated", {}, tmp_path)


def test_an_endpoint_with_any_name_keeps_its_journal_in_the_state_folder(tmp_path: Path) -> None:
    endpoint = Endpoint(name="../../site/rack 1", driver="simulated")
    asyncio.run(open_driver(endpoint, state_dir=tmp_path, clock=lambda: datetime.now(UTC)).aclose())
    assert len(list(tmp_path.iterdir())) == 1


def test_every_example_of_the_guide_opens(tmp_path: Path) -> None:
    examples = re.findall(r"```toml\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    endpoints = [entry for example in examples for entry in tomllib.loads(example).get("endpoints", [])]
    assert {entry["driver"] for entry in endpoints} == set(DRIVER_NAMES)
    for entry in endpoints:
        endpoint = msgspec.convert(entry, Endpoint)
        asyncio.run(open_driver(endpoint, state_dir=tmp_path, clock=lambda: datetime.now(UTC)).aclose())


@pytest.mark.parametrize("config", [SimulatedConfig, CommandConfig])
def test_the_guide_explains_every_setting(config: type[SimulatedConfig | CommandConfig]) -> None:
    guide = GUIDE.read_text()
    assert [field for field in config.__struct_fields__ if f"`{field}`" not in guide] == []


# Drivers that other people wrote

FOREIGN = """
import msgspec
from fleetcron.drivers.simulated import SimulatedConfig, SimulatedDriver

def open_abacus(endpoint, *, state_dir, clock):
    return SimulatedDriver(msgspec.convert(endpoint.settings, SimulatedConfig), journal=None, clock=clock)
"""


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as an installed distribution looks that offers the driver abacus, and one that is broken."""
    folder = tmp_path / "site"
    about = folder / "abacus-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: abacus\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        f"[{ENTRY_POINTS}]\nabacus = abacus_driver:open_abacus\nbroken = abacus_driver:open_nothing\n"
    )
    (folder / "abacus_driver.py").write_text(FOREIGN)
    monkeypatch.syspath_prepend(folder)
    return folder


def test_a_driver_of_another_distribution_is_found_by_its_name(foreign: Path, tmp_path: Path) -> None:
    driver = opened("abacus", {"seed": 3}, tmp_path)
    assert driver.capabilities.marks_boots
    asyncio.run(driver.aclose())


@pytest.mark.parametrize(
    ("driver", "settings", "named"),
    [
        ("abacus", {"sede": 3}, "sede"),
        ("broken", {}, "open_nothing"),
        ("telepathy", {}, "command, simulated, abacus, broken"),
    ],
)
def test_a_driver_of_another_distribution_that_cannot_be_opened_is_refused_with_the_reason(
    driver: str, settings: dict[str, object], named: str, foreign: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadSettings) as caught:
        opened(driver, settings, tmp_path)
    assert caught.value.where == "endpoint rack-1"
    assert named in caught.value.reason


def test_a_driver_that_no_endpoint_names_is_not_imported(foreign: Path, tmp_path: Path) -> None:
    (foreign / "abacus_driver.py").write_text("raise AssertionError('imported')\n")
    assert opened("simulated", {"volatile": True}, tmp_path).capabilities.marks_boots
