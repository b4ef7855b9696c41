"""Signing in, and what a token stands for, in Keystone's words."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from keystoneauth1.access import AccessInfoV3

from fleetcron.domain.access import (
    PASSWORD_LENGTH_MAX,
    Account,
    AccountScope,
    Project,
    ProjectScope,
    Scope,
    SignedIn,
    User,
)
from fleetcron.errors import Invalid
from fleetcron.wire.fields import read_body
from fleetcron.wire.tokens import PasswordMethod, PasswordUser, SignIn, TokenMethod, TokenQuery, say_token

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ABSENT = object()


def a_body(scope: object = ABSENT, methods: object = ("password",), **user: object) -> bytes:
    whole = {"name": "ada", "password": "hush hush", "domain": {"name": "home"}} | user
    auth: dict[str, Any] = {
        "identity": {"methods": methods, "password": {"user": {k: v for k, v in whole.items() if v is not ABSENT}}}
    }
    if scope is not ABSENT:
        auth["scope"] = scope
    return json.dumps({"auth": auth}).encode()


def by_token(token: object) -> bytes:
    identity = {"methods": ["token"]} if token is ABSENT else {"methods": ["token"], "token": token}
    return json.dumps({"auth": {"identity": identity, "scope": {"project": {"id": "p"}}}}).encode()


def user_of(body: SignIn) -> PasswordUser:
    method = body.method()
    assert isinstance(method, PasswordMethod)
    return method.user


@pytest.mark.parametrize(
    ("said", "scope"),
    [
        (ABSENT, None),
        (None, None),
        ("unscoped", None),
        ({"domain": {"name": "home"}}, AccountScope(account="home")),
        ({"domain": {"id": "a"}}, AccountScope(account="a")),
        ({"project": {"id": "p"}}, ProjectScope(project_id="p")),
        ({"project": {"name": "north"}}, ProjectScope(name="north")),
        ({"project": {"name": "north", "domain": {"name": "home"}}}, ProjectScope(name="north", account="home")),
        ({"project": {"name": "north", "domain": {"id": "a"}}}, ProjectScope(name="north", account="a")),
    ],
)
def test_a_scope_is_read_in_every_form(said: object, scope: Scope | None) -> None:
    body = read_body(a_body(said), SignIn)
    assert body.scope() == scope
    user = user_of(body)
    assert (user.name, user.password, user.domain.name) == ("ada", "hush hush", "home")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{}", "auth"),
        (b'{"auth":{}}', "auth.identity"),
        (b"[]", "body"),
        (b"{", "body"),
        (a_body(methods=[]), "auth.identity.methods"),
        (a_body(methods=["totp"]), "auth.identity.methods[0]"),
        (a_body(methods=["password", "totp"]), "auth.identity.methods[1]"),
        (a_body(methods=["password", "token"]), "auth.identity.methods"),
        (a_body(methods=["token"]), "auth.identity"),
        (by_token(ABSENT), "auth.identity"),
        (by_token({}), "auth.identity.token.id"),
        (by_token({"id": ""}), "auth.identity.token.id"),
        (a_body(name=ABSENT), "auth.identity.password.user.name"),
        (a_body(name=7), "auth.identity.password.user.name"),
        (a_body(password=ABSENT), "auth.identity.password.user.password"),
        (a_body(password="x" * (PASSWORD_LENGTH_MAX + 1)), "auth.identity.password.user.password"),
        (a_body(domain=ABSENT), "auth.identity.password.user.domain"),
        (a_body(domain={}), "auth.identity.password.user.domain"),
        (a_body("everything"), "auth.scope"),
        (a_body({}), "auth.scope"),
        (a_body({"project": {"id": "p"}, "domain": {"id": "a"}}), "auth.scope"),
        (a_body({"project": {}}), "auth.scope.project"),
        (a_body({"project": {"name": "north", "domain": {}}}), "auth.scope.project.domain"),
    ],
)
def test_what_is_wrong_with_a_body_is_named(body: bytes, field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        read_body(body, SignIn)
    assert refusal.value.field == field
    assert "xxx" not in str(refusal.value), "a password is told back"


def test_no_password_shows_in_a_repr() -> None:
    body = read_body(a_body(), SignIn)
    for part in (body, body.auth, body.auth.identity, body.auth.identity.password, user_of(body)):
        assert "hush" not in repr(part)


def test_a_token_is_read_and_shows_in_no_repr() -> None:
    body = read_body(by_token({"id": "hush hush"}), SignIn)
    method = body.method()
    assert isinstance(method, TokenMethod)
    assert method.id == "hush hush"
    assert body.scope() == ProjectScope(project_id="p")
    for part in (body, body.auth, body.auth.identity, method):
        assert "hush" not in repr(part)


def signed_in(project: Project | None = None, *, administrator: bool = False) -> SignedIn:
    ada = User(
        user_id="u",
        account_id="a",
        name="ada",
        description=None,
        password_hash="a hash",
        administrator=administrator,
        enabled=True,
        created_at=NOW,
    )
    home = Account(account_id="a", name="home", created_at=NOW)
    return SignedIn(
        user=ada,
        account=home,
        project=project,
        regions=("north", "south"),
        issued_at=NOW,
        expires_at=NOW + timedelta(hours=24),
    )


def as_keystone_reads(signed: SignedIn) -> AccessInfoV3:
    body = msgspec.json.encode(say_token(signed, "http://fleet", TokenQuery()))
    assert b"a hash" not in body
    return AccessInfoV3(body=json.loads(body), auth_token="text")


def test_keystones_client_reads_a_projects_token() -> None:
    north = Project(project_id="p", account_id="a", name="north", created_at=NOW)
    read = as_keystone_reads(signed_in(north))
    assert (read.project_id, read.project_name, read.project_domain_id) == ("p", "north", "a")
    assert (read.user_id, read.username, read.user_domain_name) == ("u", "ada", "home")
    assert (read.issued, read.expires) == (NOW, NOW + timedelta(hours=24))
    assert read.project_scoped
    assert not read.domain_scoped
    assert read.role_names == ["member"]
    assert read.has_service_catalog()


def test_keystones_client_reads_an_accounts_token() -> None:
    read = as_keystone_reads(signed_in(administrator=True))
    assert (read.domain_id, read.domain_name) == ("a", "home")
    assert read.domain_scoped
    assert not read.project_scoped
    assert read.role_names == ["te_admin"]


def test_keystones_client_finds_the_identity_api_in_every_region() -> None:
    catalog = as_keystone_reads(signed_in()).service_catalog
    for region in ("north", "south"):
        assert catalog.url_for(service_type="identity", interface="public", region_name=region) == "http://fleet/v3"
    assert catalog.get_endpoints_data(service_type="identity", region_name="west") == {"identity": []}


@pytest.mark.parametrize("value", ["", "any", "1"])
def test_the_catalogue_is_left_out_where_nobody_wants_it(value: str) -> None:
    assert say_token(signed_in(), "http://fleet", TokenQuery(nocatalog=value))["token"]["catalog"] == []
