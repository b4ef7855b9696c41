"""``fleetcron worker``: what it takes, and what it refuses before it starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from refusals import refusal

FLEET = '[[endpoints]]\nname = "lab"\ndriver = "simulated"\nsite = "north"\n'


@pytest.fixture
def fleet(tmp_path: Path) -> str:
    """A fleet file of the site north."""
    (tmp_path / "fleet.toml").write_text(FLEET)
    return str(tmp_path / "fleet.toml")


def test_without_a_fleet_file_it_is_misuse(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert refusal(capsys, "worker", "--nats", "nats://127.0.0.1:1")[0] == 2
    nowhere = str(tmp_path / "nowhere.toml")
    assert refusal(capsys, "worker", "--nats", "nats://127.0.0.1:1", "--fleet", nowhere)[0] == 2


def test_a_site_without_endpoints_is_refused(capsys: pytest.CaptureFixture[str], fleet: str) -> None:
    for site in ("south", "no site"):
        code, said = refusal(capsys, "worker", "--nats", "nats://127.0.0.1:1", "--fleet", fleet, "--site", site)
        assert code == 2
        assert "site" in said


def test_the_site_and_the_line_come_out_of_the_environment_too(
    capsys: pytest.CaptureFixture[str], fleet: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEETCRON_SITE", "south")
    assert "FLEETCRON_NATS" in refusal(capsys, "worker", "--fleet", fleet)[1]
    monkeypatch.setenv("FLEETCRON_NATS", "nats://127.0.0.1:1")
    assert "'south'" in refusal(capsys, "worker", "--fleet", fleet)[1]
