"""Files that an operator writes: read whole, or refused with their place."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from fleetcron.assembly.written import read_toml
from fleetcron.errors import BadSettings


class Lamp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something to write down."""

    watts: int = 40

    def __post_init__(self) -> None:
        if self.watts == 0:
            raise BadSettings("watts", "must shine")


def test_what_is_written_is_meant(tmp_path: Path) -> None:
    path = tmp_path / "lamp.toml"
    path.write_text("watts = 60")
    assert read_toml(path, Lamp) == Lamp(watts=60)


@pytest.mark.parametrize(
    ("text", "words"),
    [("watts = 'many'", "watts"), ("wats = 3", "wats"), ("watts", "lamp"), ("watts = 0", "must shine")],
)
def test_what_cannot_be_meant_is_refused_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "lamp.toml"
    path.write_text(text)
    with pytest.raises(BadSettings) as refusal:
        read_toml(path, Lamp)
    assert str(path) in str(refusal.value)
    assert words in str(refusal.value)


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "nowhere.toml", tmp_path, tmp_path / "binary.toml"):
        with pytest.raises(BadSettings, match=str(path)):
            read_toml(path, Lamp)
