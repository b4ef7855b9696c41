"""An identity service is made ready by its settings, or refused with what is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

from fleetcron.errors import BadSettings
from fleetcron.identity.contract import KeystoneConfig
from fleetcron.identity.keystone import KeystoneIdentity
from fleetcron.identity.registry import open_identity

SETTINGS = {
    "kind": "keystone",
    "url": "https://keystone.example/identity/v3",
    "user": "fleetcron",
    "password_file": "password",
    "project": "service",
    "roles": {"admin": "Workspace FullAccess"},
}


def config(folder: Path) -> KeystoneConfig:
    (folder / "password").write_text("hush\n")
    return msgspec.convert({**SETTINGS, "password_file": str(folder / "password")}, KeystoneConfig)


def test_a_keystone_is_made_ready_without_asking_it(tmp_path: Path) -> None:
    assert isinstance(open_identity(config(tmp_path)), KeystoneIdentity)


def test_without_its_library_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "fleetcron.identity.keystone")
    monkeypatch.setitem(sys.modules, "keystoneauth1", None)
    with pytest.raises(BadSettings, match=r'needs keystoneauth1, .* with its extra "keystone"'):
        open_identity(config(tmp_path))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("kind", "ldap"),
        ("url", "keystone.example/v3"),
        ("url", "https://keystone.example"),
        ("url", "https://keystone.example/v2.0"),
        ("user", ""),
        ("project", ""),
        ("roles", {}),
        ("roles", {"admin": ""}),
        ("answer_seconds_max", 0),
        ("answer_seconds_max", 60),
        ("passwrod", "hush"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(key: str, value: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**SETTINGS, key: value}, KeystoneConfig)
