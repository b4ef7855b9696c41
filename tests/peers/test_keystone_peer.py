"""The peer is what it says: a Keystone whose tokens begin, hold and end."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from peers.keystone import Keystone, end


def test_a_token_is_issued_holds_and_is_over_when_revoked(keystone: Keystone) -> None:
    project_id = keystone.create_project("tokens")
    user_id = keystone.create_user("alice", "correct horse")
    keystone.assign(user_id, project_id)
    token = keystone.issue("alice", "correct horse", project_id)
    said = keystone.validate(token)
    assert said is not None
    assert (said["user"]["id"], said["project"]["id"]) == (user_id, project_id)
    assert {role["name"] for role in said["roles"]} == {"member", "reader"}
    keystone.revoke(token)
    assert keystone.validate(token) is None


def test_a_user_who_is_disabled_takes_its_tokens_along(keystone: Keystone) -> None:
    project_id = keystone.create_project("disabled")
    user_id = keystone.create_user("mallory", "battery staple")
    keystone.assign(user_id, project_id)
    token = keystone.issue("mallory", "battery staple", project_id)
    keystone.disable_user(user_id)
    assert keystone.validate(token) is None


def test_a_wrong_password_gives_no_token(keystone: Keystone) -> None:
    project_id = keystone.create_project("wrong")
    keystone.assign(keystone.create_user("bob", "right"), project_id)
    with pytest.raises(httpx.HTTPStatusError, match="401"):
        keystone.issue("bob", "wrong", project_id)


def test_many_may_ask_at_once(keystone: Keystone) -> None:
    project_id = keystone.create_project("many")
    keystone.assign(keystone.create_user("carol", "staple horse"), project_id)
    with ThreadPoolExecutor(8) as people:
        tokens = list(people.map(lambda _: keystone.issue("carol", "staple horse", project_id), range(16)))
        assert all(people.map(keystone.validate, tokens))


def test_what_a_peer_started_ends_with_it() -> None:
    command = ["sh", "-c", "sleep 60 & echo started; wait"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == b"started\n"
    end(process)
    # The output's end comes when nobody holds it open any more: neither the shell nor its sleep.
    rest, _ = process.communicate(timeout=10)
    assert rest == b""
