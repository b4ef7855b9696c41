"""Tokens are believed as far as a real Keystone vouches for them, and callers are blamed for nothing else."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fleetcron.errors import BadSettings, StaleToken, Unauthenticated, Unavailable
from fleetcron.identity.contract import KeystoneConfig
from fleetcron.identity.keystone import TOKEN_LENGTH_MAX, KeystoneIdentity
from impostor import impostor, said
from peers.keystone import Keystone, asleep

Connect = Callable[..., KeystoneIdentity]

PASSWORD = "correct horse"


def now() -> datetime:
    return datetime.now(UTC)


class Member:
    """A user of the Keystone with a project of its own."""

    def __init__(self, keystone: Keystone, name: str, role: str = "member") -> None:
        self._keystone = keystone
        self.name = name
        self.project_id = keystone.create_project(f"project of {name}")
        self.user_id = keystone.create_user(name, PASSWORD)
        keystone.assign(self.user_id, self.project_id, role)

    def token(self) -> str:
        return self._keystone.issue(self.name, PASSWORD, self.project_id)


@pytest.fixture
def identity(keystone: Keystone, own_user: str, connect: Connect) -> KeystoneIdentity:
    return connect(keystone.url)


def test_a_token_stands_for_its_user_project_and_roles(keystone: Keystone, identity: KeystoneIdentity) -> None:
    alice = Member(keystone, "alice-i")
    validated = identity.validate(alice.token(), now())
    assert (validated.user_id, validated.user_name) == (alice.user_id, "alice-i")
    assert validated.project_id == alice.project_id
    assert validated.roles == {"member", "reader"}
    assert timedelta(minutes=30) < validated.expires_at - now() < timedelta(hours=25)


def test_a_revoked_token_is_over_at_once(keystone: Keystone, identity: KeystoneIdentity) -> None:
    bob = Member(keystone, "bob-i")
    first, second = bob.token(), bob.token()
    identity.validate(first, now())
    keystone.revoke(first)
    with pytest.raises(Unauthenticated) as refusal:
        identity.validate(first, now())
    assert type(refusal.value) is Unauthenticated
    assert identity.validate(second, now()).user_id == bob.user_id


def test_a_disabled_users_token_is_over_at_once(keystone: Keystone, identity: KeystoneIdentity) -> None:
    carol = Member(keystone, "carol-i")
    token = carol.token()
    identity.validate(token, now())
    keystone.disable_user(carol.user_id)
    with pytest.raises(Unauthenticated):
        identity.validate(token, now())


def test_a_token_that_has_expired_by_our_clock_is_stale(keystone: Keystone, identity: KeystoneIdentity) -> None:
    dave = Member(keystone, "dave-i")
    with pytest.raises(StaleToken):
        identity.validate(dave.token(), now() + timedelta(days=2))


def test_a_token_that_only_its_age_ends_is_stale(connect: Connect) -> None:
    # As Keystone does: not found, unless expired ones are asked for as well.
    with impostor(said(), only_for=b"allow_expired=1") as standing, pytest.raises(StaleToken):
        connect(standing.url).validate("t", now())
    assert standing.checks == 2


@pytest.mark.parametrize("token", ["garbage", "a" * TOKEN_LENGTH_MAX])
def test_what_was_never_a_token_is_unknown(identity: KeystoneIdentity, token: str) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        identity.validate(token, now())
    assert type(refusal.value) is Unauthenticated


@pytest.mark.parametrize(
    "token", ["", "a\r\nX-Auth-Token: b", "tab\there", "nul\0", "tökén", "\x80", "a" * (TOKEN_LENGTH_MAX + 1)]
)
def test_what_cannot_be_a_token_is_unknown_without_asking(connect: Connect, token: str) -> None:
    with impostor(said()) as standing:
        with pytest.raises(Unauthenticated):
            connect(standing.url).validate(token, now())
        assert standing.checks == 0


def test_a_token_for_no_project_says_so_and_carries_no_role(keystone: Keystone, identity: KeystoneIdentity) -> None:
    user = {"name": "admin", "password": keystone.admin_password, "domain": {"id": "default"}}
    auth = {"identity": {"methods": ["password"], "password": {"user": user}}}
    for scope in ("unscoped", {"domain": {"id": "default"}}, {"system": {"all": True}}):
        answer = keystone.client.post(f"{keystone.url}/auth/tokens", json={"auth": {**auth, "scope": scope}})
        if scope == "unscoped" or answer.is_success:
            validated = identity.validate(answer.raise_for_status().headers["X-Subject-Token"], now())
            assert (validated.project_id, validated.roles) == (None, frozenset())


def test_many_may_ask_at_once(keystone: Keystone, identity: KeystoneIdentity) -> None:
    erin = Member(keystone, "erin-i")
    token = erin.token()
    with ThreadPoolExecutor(8) as people:
        answers = list(people.map(lambda _: identity.validate(token, now()).user_id, range(24)))
    assert set(answers) == {erin.user_id}


def test_our_own_token_may_be_revoked_without_anybody_noticing(keystone: Keystone, identity: KeystoneIdentity) -> None:
    frank = Member(keystone, "frank-i")
    token = frank.token()
    identity.validate(token, now())
    own = identity._keystone.get_token()
    assert own is not None
    keystone.revoke(own)
    assert identity.validate(token, now()).user_id == frank.user_id


def test_our_own_wrong_password_is_not_the_callers_fault(
    keystone: Keystone, own_user: str, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = Member(keystone, "grace-i").token()
    identity = connect(keystone.url, password="a wrong password")
    with pytest.raises(Unavailable):
        identity.validate(token, now())
    assert [record.name for record in caplog.records if record.levelno == logging.ERROR] == [
        "fleetcron.identity.keystone"
    ]


def test_our_own_lack_of_the_role_is_not_the_callers_fault(keystone: Keystone, own_user: str, connect: Connect) -> None:
    token = Member(keystone, "heidi-i").token()
    lowly = keystone.create_user("lowly-i", PASSWORD)
    (project,) = keystone._as_admin("GET", "/projects?name=identity-tests")["projects"]
    keystone.assign(lowly, project["id"], "reader")
    with pytest.raises(Unavailable):
        connect(keystone.url, user="lowly-i", password=PASSWORD).validate(token, now())


def test_no_secret_is_logged_or_shown(
    keystone: Keystone, own_user: str, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = Member(keystone, "ivan-i").token()
    identity = connect(keystone.url)
    identity.validate(token, now())
    keystone.revoke(token)
    with pytest.raises(Unauthenticated) as refusal:
        identity.validate(token, now())
    own = identity._keystone.get_token()
    assert own is not None
    # Not what the tests' own client logs.
    logged = [record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    assert logged != []
    for text in (*logged, repr(identity), repr(refusal.value), str(refusal.value)):
        for secret in (token, own, "a password that nobody else knows"):
            assert secret not in text


def test_a_keystone_that_hangs_is_unavailable_within_its_time(
    keystone: Keystone, own_user: str, connect: Connect
) -> None:
    judy = Member(keystone, "judy-i")
    token = judy.token()
    identity = connect(keystone.url, answer_seconds_max=1.0)
    identity.validate(token, now())
    with asleep(keystone):
        before = now()
        with pytest.raises(Unavailable):
            identity.validate(token, now())
        assert now() - before < timedelta(seconds=5)
    assert identity.validate(token, now()).user_id == judy.user_id


def test_a_keystone_that_is_not_there_is_unavailable(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(Unavailable):
        connect(f"http://127.0.0.1:{port}/v3").validate("t", now())


def test_an_address_without_a_keystone_is_unavailable(keystone: Keystone, own_user: str, connect: Connect) -> None:
    with pytest.raises(Unavailable):
        connect(f"{keystone.url.removesuffix('/v3')}/nowhere/v3").validate("t", now())


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"hello", "200 OK"),
        (b"", "200 OK"),
        (b"{}", "200 OK"),
        (b"[]", "200 OK"),
        (b"7", "200 OK"),
        (b'{"token": {}}', "200 OK"),
        (b'{"token": 7}', "200 OK"),
        (b'{"access": {"user": {"id": "u1", "name": "alice"}, "token": {"id": "t"}}}', "200 OK"),
        (said(user=None), "200 OK"),
        (said(user={"id": "", "name": "alice"}), "200 OK"),
        (said(user={"id": 7, "name": "alice"}), "200 OK"),
        (said(roles=[{}]), "200 OK"),
        (said(roles="admin"), "200 OK"),
        (said(expires_at=None), "200 OK"),
        (said(expires_at="soon"), "200 OK"),
        (said(), "203 Non-Authoritative Information"),
        (said(), "302 Found"),
        (b"", "400 Bad Request"),
        (b"", "429 Too Many Requests"),
        (b"", "500 Internal Server Error"),
        (b"", "503 Service Unavailable"),
        (b"", "401 Unauthorized"),
        (b"", "403 Forbidden"),
    ],
)
def test_whatever_else_is_answered_is_unavailable(connect: Connect, body: bytes, status: str) -> None:
    with impostor(body, status) as standing, pytest.raises(Unavailable):
        connect(standing.url).validate("t", now())


def test_a_connection_that_was_closed_is_tried_once_more(connect: Connect) -> None:
    with impostor(said(), dropped=1) as standing:
        assert connect(standing.url).validate("t", now()).user_name == "alice"
    with impostor(said(), dropped=2) as standing, pytest.raises(Unavailable):
        connect(standing.url).validate("t", now())


def test_proxies_of_the_environment_are_not_heeded(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with impostor(said()) as standing:
        assert connect(standing.url).validate("t", now()).roles == {"reader"}


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe", b"a" * 5_000])
def test_a_password_that_cannot_be_one_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    settings = KeystoneConfig(
        url="http://127.0.0.1:1/v3", user="u", password_file=str(file), project="p", roles={"a": "b"}
    )
    with pytest.raises(BadSettings, match="password"):
        KeystoneIdentity(settings)
