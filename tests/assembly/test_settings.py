"""What can be set: read whole, or refused with its place."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from fleetcron.assembly.settings import DEFAULT_REGION, DEFAULT_ZONE, Concurrency, Settings, Tuning, read_tuning
from fleetcron.control.throttle import RequestRate
from fleetcron.dispatch.nats.config import NatsConfig
from fleetcron.domain.fleet import Endpoint
from fleetcron.domain.task import LateLimits
from fleetcron.errors import BadSettings
from fleetcron.identity.contract import KeystoneConfig
from fleetcron.worker.limits import AttemptConfig

PAGE = Path(__file__).resolve().parents[2] / "docs" / "settings.md"


def written(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text)
    return path


def test_without_a_file_everything_is_at_its_default(tmp_path: Path) -> None:
    assert read_tuning(None) == Tuning() == read_tuning(written(tmp_path, ""))
    assert (Tuning().default_zone, Tuning().regions) == (DEFAULT_ZONE, (DEFAULT_REGION,))
    assert Tuning().late_limits == LateLimits(default_seconds=300, reinstall_seconds=0)


def test_what_is_written_is_meant_and_the_rest_stays(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        default_zone = "Europe/Berlin"
        regions = ["north", "south"]

        [late_limits]
        default_seconds = 60

        [attempts]
        doubt = 0.5
        restart = 120
        """,
    )
    assert read_tuning(path) == Tuning(
        default_zone="Europe/Berlin",
        regions=("north", "south"),
        late_limits=LateLimits(default_seconds=60),
        attempts=AttemptConfig(doubt=0.5, restart=120),
    )


def test_the_page_of_settings_names_them_all_and_says_the_defaults() -> None:
    said = re.findall(r"^```toml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    by_first_word = {text.split()[0]: text for text in said}
    tuning, line = by_first_word["default_zone"], by_first_word["[nats]"]
    assert msgspec.convert(tomllib.loads(tuning), Tuning) == Tuning()
    assert msgspec.convert(tomllib.loads(line), Tuning).nats == NatsConfig()
    everything = "\n".join(said)
    for kind in (Tuning, LateLimits, AttemptConfig, Concurrency, RequestRate, KeystoneConfig, NatsConfig, Endpoint):
        missing = [name for name in kind.__struct_fields__ if not re.search(rf"\b{name}\b", everything)]
        assert missing == [], kind


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[concurrency]\nper_execution = 0", "per_execution"),
        ("history_days = 0", "history_days"),
        ("[nats]\nuser = 'alone'", "password"),
        ("[nats]\nserver = 'nats://one:4222'", "server"),
    ],
)
def test_what_many_machines_cannot_be_told_is_refused_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BadSettings) as refusal:
        read_tuning(written(tmp_path, text))
    assert "config.toml" in str(refusal.value)
    assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("zone = 'UTC'", "zone"),
        ("[attempts]\nrestrat = 3", "restrat"),
        ("[late_limits]\nreinstall = 3", "reinstall"),
        ("[attempts]\nrestart = 'long'", "restart"),
        ("regions = []", "regions"),
        ("regions = 'north'", "regions"),
        ("default_zone = 'Mars/Olympus'", "default_zone"),
        ("default_zone = ", "config.toml"),
        ("[attempts]\nrestart = -1", "restart"),
        ("[attempts]\nrestart = 0", "restart"),
        ("[attempts]\ndoubt = -0.5", "doubt"),
        ("[attempts]\nnotice = nan", "notice"),
        ("[attempts]\nstop = inf", "stop"),
        ("[attempts]\nreinstall = 1e300", "reinstall"),
        ("[late_limits]\ndefault_seconds = -1", "default_seconds"),
        ("[late_limits]\ndefault_seconds = 9000000000000000", "default_seconds"),
        ("[late_limits]\nreinstall_seconds = 0.5", "reinstall_seconds"),
        ("regions = ['']", "regions"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(BadSettings) as refusal:
        read_tuning(path)
    assert str(path) in str(refusal.value)
    assert words in str(refusal.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.toml", tmp_path):
        with pytest.raises(BadSettings, match="cannot be read"):
            read_tuning(path)
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadSettings):
        read_tuning(binary)


def test_no_secret_shows_in_a_repr(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, admin_password="hush-password", access_key="AK", secret_key="hush-secret")
    assert "hush" not in repr(settings)
    assert "hush" not in f"{settings}"
