"""The wing that reaches the servers, alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetcron.assembly.settings import Tuning
from fleetcron.assembly.worker import WorkerSettings, WorkerTuning, serve_worker
from fleetcron.errors import BadSettings

FLEET = '[[endpoints]]\nname = "lab"\ndriver = "simulated"\nsite = "north"\n'


def settings(folder: Path, **said: object) -> WorkerSettings:
    fleet = folder / "fleet.toml"
    fleet.write_text(FLEET)
    complete = {"nats": "nats://w:hush@127.0.0.1:1", "fleet": fleet, "data_dir": folder, "health_port": 0, **said}
    return WorkerSettings(**complete)  # type: ignore[arg-type]


def test_a_worker_knows_every_part_of_the_settings_file_and_reads_its_own() -> None:
    assert set(WorkerTuning.__struct_fields__) == set(Tuning.__struct_fields__)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"site": "south"}, "no endpoint of site 'south'"),
        ({"site": "no site"}, "site: must have"),
        ({"nats": None}, "FLEETCRON_NATS"),
    ],
)
def test_what_cannot_be_meant_stops_the_start(tmp_path: Path, said: dict[str, object], words: str) -> None:
    with pytest.raises(BadSettings, match=words):
        serve_worker(settings(tmp_path, **said), lambda _: None)


@pytest.mark.parametrize("text", ["[attempts]\nrestrat = 3", "zone = 'UTC'", "[nats]\nusr = 'x'"])
def test_a_settings_file_that_cannot_be_meant_stops_the_start(tmp_path: Path, text: str) -> None:
    config = tmp_path / "config.toml"
    config.write_text(text)
    with pytest.raises(BadSettings, match=str(config)):
        serve_worker(settings(tmp_path, config=config), lambda _: None)


def test_who_is_in_doubt_watches_for_as_long_as_the_one_before_may_act(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[attempts]\ndoubt = 5\n[nats]\nack_wait_seconds = 5.5\n")
    with pytest.raises(BadSettings, match=r"attempts\.doubt: must be at least nats\.ack_wait_seconds, 5\.5"):
        serve_worker(settings(tmp_path, config=config), lambda _: None)


def test_no_password_shows_in_a_repr(tmp_path: Path) -> None:
    assert "hush" not in repr(settings(tmp_path))
