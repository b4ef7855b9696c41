"""Ways to ask the real Keystone, and whatever stands in its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from fleetcron.identity.contract import KeystoneConfig
from fleetcron.identity.keystone import KeystoneIdentity
from peers.keystone import Keystone

OWN_USER: Final = "fleetcron"
OWN_PASSWORD: Final = "a password that nobody else knows"
OWN_PROJECT: Final = "identity-tests"

Connect = Callable[..., KeystoneIdentity]


@pytest.fixture(scope="session")
def own_user(keystone: Keystone) -> str:
    """The user as whom the service asks: its id."""
    project_id = keystone.create_project(OWN_PROJECT)
    user_id = keystone.create_user(OWN_USER, OWN_PASSWORD)
    keystone.assign(user_id, project_id, "service")
    return user_id


@pytest.fixture
def connect(tmp_path: Path) -> Connect:
    """Make ready to ask a Keystone at this address, by default as its own user."""

    def identity(
        url: str, *, user: str = OWN_USER, password: str = OWN_PASSWORD, answer_seconds_max: float = 3.0
    ) -> KeystoneIdentity:
        (tmp_path / "password").write_text(f"{password}\n")
        return KeystoneIdentity(
            KeystoneConfig(
                url=url,
                user=user,
                password_file=str(tmp_path / "password"),
                project=OWN_PROJECT,
                roles={"admin": "Workspace FullAccess"},
                answer_seconds_max=answer_seconds_max,
            )
        )

    return identity
