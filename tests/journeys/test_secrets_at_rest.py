"""Whoever gets hold of the database, its log or what the service says has no secret by that."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from fleetcron.store.vault import KEYS_NAME
from running import ACCESS_KEY, PASSWORD, SECRET_KEY, Running, running

# Whoever starts the service is told how to sign in, on the screen and in a file. That is not what is kept or logged.
TOLD = re.compile(rb"^  (Password|Secret key) .*$", re.MULTILINE)
TOLD_FILE = "sign-in.env"


def found(folder: Path, *secrets: str) -> list[tuple[str, str]]:
    """Which secrets are in which of the folder's files, beside what its starter is told."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != TOLD_FILE]
    contents = {path.name: TOLD.sub(b"", path.read_bytes()) for path in files}
    return [(name, secret) for name, content in contents.items() for secret in secrets if secret.encode() in content]


def credential(service: Running, kind: str, body: object) -> dict[str, str]:
    """A new access key of the administrator's, as the service shows it this once."""
    answer = httpx.post(
        f"{service.url}/v3.0/OS-CREDENTIAL/{kind}",
        json=body,
        headers={"X-Auth-Token": service.token()},
        trust_env=False,
    )
    made: dict[str, str] = answer.raise_for_status().json()["credential"]
    return made


def test_no_secret_is_in_any_file_while_the_service_runs_nor_afterwards(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        token = service.token()
        lasting = credential(service, "credentials", {"credential": {}})
        method = {"methods": ["token"], "token": {"duration_seconds": 900}}
        passing = credential(service, "securitytokens", {"auth": {"identity": method}})
        secrets = [SECRET_KEY, PASSWORD, token, lasting["secret"], passing["secret"], passing["securitytoken"]]
        assert all(secrets)
        assert found(tmp_path, *secrets) == []
        # It is looked for where it would be.
        assert {name.partition("-")[0] for name, _ in found(tmp_path, ACCESS_KEY)} & {"fleetcron.sqlite3"}
    assert found(tmp_path, *secrets) == []
    # Nor is the key in the database that opens them.
    (key,) = (tmp_path / "data" / KEYS_NAME).read_text().split()
    assert [name for name, _ in found(tmp_path, key)] == [KEYS_NAME]


def test_a_wrong_key_stops_the_start_and_the_right_one_brings_everything_back(tmp_path: Path) -> None:
    with running(tmp_path):
        pass
    keys = tmp_path / "data" / KEYS_NAME
    right = keys.read_text()
    keys.unlink()
    (tmp_path / "sign-in.env").unlink()
    # It fails with what the service has said.
    with pytest.raises(AssertionError, match=rf"{KEYS_NAME}.*put it back"), running(tmp_path):
        pass
    keys.write_text(right)
    with running(tmp_path) as service:
        assert service.token()
