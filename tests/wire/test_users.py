"""Users and access keys in the words of the vendor's IAM, as its own SDK writes and reads them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import huaweicloudsdkiam.v3 as iam
import msgspec
import pytest
from huaweicloudsdkcore.utils.http_utils import sanitize_for_serialization

from fleetcron.domain.access import PASSWORD_LENGTH_MAX, PASSWORD_LENGTH_MIN, AccessKey, TemporaryKey, User
from fleetcron.errors import Invalid
from fleetcron.wire.fields import read_body
from fleetcron.wire.users import (
    CreateCredential,
    CreateTemporaryCredential,
    CreateUser,
    UpdateUser,
    say_credential,
    say_new_credential,
    say_temporary_credential,
    say_user,
    say_users,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ADA = User(
    user_id="u",
    account_id="a",
    name="ada",
    description="night shift",
    password_hash="a hash",
    administrator=False,
    enabled=True,
    created_at=NOW,
)
KEY = AccessKey(access_key="AK", secret_key="a secret", user_id="u", description=None, enabled=True, created_at=NOW)
BASE = "http://localhost:8080"


def as_sdk_writes(model: object) -> bytes:
    return json.dumps(sanitize_for_serialization(model)).encode()


def as_sdk_reads(answer: object, response: type) -> Any:  # noqa: ANN401  (the SDK is untyped)
    return iam.IamClient()._deserialize(json.loads(msgspec.json.encode(answer)), response)


def test_the_sdks_new_user_is_read() -> None:
    option = iam.KeystoneCreateUserOption(
        name="ada", domain_id="a", password="hush hush", enabled=False, description="night shift"
    )
    new = read_body(as_sdk_writes(iam.KeystoneCreateUserRequestBody(user=option)), CreateUser).user
    assert (new.name, new.domain_id, new.password) == ("ada", "a", "hush hush")
    assert (new.enabled, new.description) == (False, "night shift")


def test_a_new_user_needs_a_name_alone() -> None:
    new = read_body(b'{"user":{"name":"ada"}}', CreateUser).user
    assert (new.domain_id, new.password, new.enabled, new.description) == (None, None, True, None)


def test_the_sdks_changes_are_read_and_the_rest_is_unset() -> None:
    option = iam.KeystoneUpdateUserOption(enabled=False)
    changes = read_body(as_sdk_writes(iam.KeystoneUpdateUserByAdminRequestBody(user=option)), UpdateUser).user
    assert changes.enabled is False
    assert changes.password is msgspec.UNSET
    assert changes.description is msgspec.UNSET


def test_the_sdks_new_credential_is_read() -> None:
    option = iam.CreateCredentialOption(user_id="u", description="ci")
    body = iam.CreatePermanentAccessKeyRequestBody(credential=option)
    new = read_body(as_sdk_writes(body), CreateCredential).credential
    assert (new.user_id, new.description) == ("u", "ci")
    assert read_body(b"", CreateCredential).credential.user_id is None


def a_user(**fields: object) -> bytes:
    return json.dumps({"user": {"name": "ada"} | fields}).encode()


@pytest.mark.parametrize(
    ("body", "kind", "field"),
    [
        (b"{}", CreateUser, "user"),
        (b'{"user":{}}', CreateUser, "user.name"),
        (a_user(name=""), CreateUser, "user.name"),
        (a_user(name="1st"), CreateUser, "user.name"),
        (a_user(name="ada\n"), CreateUser, "user.name"),
        (a_user(name="a" * 65), CreateUser, "user.name"),
        (a_user(password="x" * (PASSWORD_LENGTH_MIN - 1)), CreateUser, "user.password"),
        (a_user(password="x" * (PASSWORD_LENGTH_MAX + 1)), CreateUser, "user.password"),
        (a_user(description="x" * 256), CreateUser, "user.description"),
        (a_user(enabled="yes"), CreateUser, "user.enabled"),
        (b"{}", UpdateUser, "user"),
        (a_user(), UpdateUser, "user"),
        (b'{"user":{"password":"short"}}', UpdateUser, "user.password"),
        (b'{"credential":{"user_id":7}}', CreateCredential, "credential.user_id"),
    ],
)
def test_what_is_wrong_with_a_body_is_named(body: bytes, kind: type[msgspec.Struct], field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        read_body(body, kind)
    assert refusal.value.field == field


def test_no_password_shows_in_a_repr() -> None:
    assert "hush" not in repr(read_body(a_user(password="hush hush"), CreateUser).user)
    assert "hush" not in repr(read_body(b'{"user":{"password":"hush hush"}}', UpdateUser).user)


def test_the_sdk_reads_a_user() -> None:
    user = as_sdk_reads({"user": say_user(ADA, BASE)}, iam.KeystoneShowUserResponse).user
    assert (user.id, user.name, user.domain_id, user.enabled) == ("u", "ada", "a", True)
    assert (user.description, user.pwd_status) == ("night shift", False)
    assert user.links._self == f"{BASE}/v3/users/u"


def test_the_sdk_reads_users() -> None:
    answer = as_sdk_reads(say_users([ADA], BASE), iam.KeystoneListUsersResponse)
    assert [user.name for user in answer.users] == ["ada"]
    assert answer.links._self == f"{BASE}/v3/users"


def test_nothing_that_is_said_of_a_user_is_secret() -> None:
    assert b"a hash" not in msgspec.json.encode(say_user(ADA, BASE))


def test_the_sdk_reads_a_new_credential_with_its_secret() -> None:
    key = as_sdk_reads(say_new_credential(KEY), iam.CreatePermanentAccessKeyResponse).credential
    assert (key.access, key.secret, key.user_id, key.status) == ("AK", "a secret", "u", "active")
    assert key.create_time == "2026-03-01T12:00:00.000000Z"


def test_later_the_secret_is_not_said_again() -> None:
    disabled = msgspec.structs.replace(KEY, enabled=False)
    answer = {"credentials": [say_credential(disabled)]}
    (key,) = as_sdk_reads(answer, iam.ListPermanentAccessKeysResponse).credentials
    assert (key.access, key.status, key.description) == ("AK", "inactive", "")
    assert b"secret" not in msgspec.json.encode(answer)


def a_temporary(identity: dict[str, Any]) -> CreateTemporaryCredential:
    return read_body(json.dumps({"auth": {"identity": identity}}).encode(), CreateTemporaryCredential)


def test_the_sdk_asks_for_a_temporary_key() -> None:
    token = iam.IdentityToken(id="a token", duration_seconds=3600)
    auth = iam.TokenAuth(identity=iam.TokenAuthIdentity(methods=["token"], token=token))
    said = sanitize_for_serialization(iam.CreateTemporaryAccessKeyByTokenRequestBody(auth=auth))
    asked = read_body(json.dumps(said).encode(), CreateTemporaryCredential).auth.identity.token
    assert (asked.id, asked.duration_seconds) == ("a token", 3600)
    assert "a token" not in repr(asked)
    assert a_temporary({"methods": ["token"]}).auth.identity.token.duration_seconds == 900


@pytest.mark.parametrize(
    ("identity", "field"),
    [
        ({}, "auth.identity.methods"),
        ({"methods": ["assume_role"]}, "auth.identity.methods[0]"),
        ({"methods": ["token"], "token": {"duration_seconds": 899}}, "auth.identity.token.duration_seconds"),
        ({"methods": ["token"], "token": {"duration_seconds": 86401}}, "auth.identity.token.duration_seconds"),
        ({"methods": ["token"], "token": {"duration_seconds": "900"}}, "auth.identity.token.duration_seconds"),
        ({"methods": ["token"], "policy": {"Version": "1.1", "Statement": []}}, "auth.identity.policy"),
    ],
)
def test_a_temporary_key_that_cannot_be_given_is_refused_by_name(identity: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        a_temporary(identity)
    assert refusal.value.field == field


def test_the_sdk_reads_a_temporary_key() -> None:
    key = TemporaryKey(access_key="AK", secret_key="a secret", security_token="a token", expires_at=NOW)
    said = json.loads(msgspec.json.encode(say_temporary_credential(key)))
    read = iam.IamClient()._deserialize(said, iam.CreateTemporaryAccessKeyByTokenResponse).credential
    assert (read.access, read.secret, read.securitytoken) == ("AK", "a secret", "a token")
    assert read.expires_at == "2026-03-01T12:00:00.000000Z"
