"""Signing in, and the users, access keys and tokens that people ask about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import argon2
import msgspec
import pytest

from fleetcron.control import tokens
from fleetcron.control.access import WRONG, Access
from fleetcron.control.founding import Founding
from fleetcron.control.passwords import Passwords
from fleetcron.domain.access import (
    ACCESS_KEYS_MAX,
    AccessKey,
    Account,
    AccountScope,
    Caller,
    Project,
    ProjectScope,
    User,
)
from fleetcron.errors import Conflict, Forbidden, NotFound, StaleToken, Unauthenticated
from fleetcron.store import access as store
from fleetcron.store.database import Database
from fleetcron.store.vault import Vault

# Real hashes cost a tenth of a second each, and these tests take hundreds.
CHEAP = Passwords(argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ADMIN_PASSWORD = "correct horse"
MALLORY = Caller(user_id="m", user_name="mallory", account_id="elsewhere", administrator=True, project_id=None)


@pytest.fixture
def database(bare_database: Database) -> Database:
    return bare_database


@pytest.fixture
def access(database: Database, vault: Vault) -> Access:
    access = Access(database, CHEAP, vault)
    access.establish(
        NOW,
        Founding(
            regions=("north", "south"),
            admin_password=ADMIN_PASSWORD,
            project_id="p-north",
            access_key="AKADMIN",
            secret_key="SKADMIN",
        ),
    )
    return access


@pytest.fixture
def admin(access: Access) -> Caller:
    _, caller = access.signing_key("AKADMIN", NOW)
    return caller


@pytest.fixture
def ada(access: Access, admin: Caller) -> Caller:
    """A user who is no administrator, as she herself calls."""
    access.create_user(admin, name="ada", password="ada's own", description=None, enabled=True, now=NOW)
    return access.caller_of_token(signed_in(access, "ada", "ada's own"), NOW)


def signed_in(access: Access, name: str = "admin", password: str = ADMIN_PASSWORD) -> str:
    plain, _ = access.sign_in(name, "default", password, None, NOW)
    return plain


def a_user(access: Access, admin: Caller, name: str) -> User:
    return access.create_user(admin, name=name, password=None, description=None, enabled=True, now=NOW)


def a_key(access: Access, caller: Caller, user_id: str | None = None) -> AccessKey:
    return access.create_access_key(caller, user_id=user_id, description="ci", now=NOW)


def test_a_token_leads_back_to_who_signed_in(access: Access) -> None:
    plain, there = access.sign_in("admin", "default", ADMIN_PASSWORD, ProjectScope(name="north"), NOW)
    caller = access.caller_of_token(plain, NOW)
    assert caller.user_id == there.user.user_id
    assert (caller.user_name, caller.administrator, caller.project_id) == ("admin", True, "p-north")
    assert there.expires_at - there.issued_at == timedelta(hours=24)


def test_no_two_tokens_are_alike(access: Access) -> None:
    first, second = signed_in(access), signed_in(access)
    assert first != second
    assert len(first) >= 43, "less than 256 bits"
    access.caller_of_token(first, NOW)


def test_the_database_gives_no_token_away(access: Access, database: Database) -> None:
    plain = signed_in(access)
    with database.snapshot() as tx:
        assert plain not in str(tx.execute("SELECT * FROM tokens").fetchall())


@pytest.mark.parametrize(
    ("name", "account", "password"),
    [
        ("admin", "default", "wrong"),
        ("admin", "default", ""),
        ("nobody", "default", ADMIN_PASSWORD),
        ("admin", "elsewhere", ADMIN_PASSWORD),
    ],
)
def test_wrong_names_and_wrong_passwords_sound_alike(access: Access, name: str, account: str, password: str) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        access.sign_in(name, account, password, None, NOW)
    assert refusal.value.reason == WRONG


def test_a_disabled_user_cannot_sign_in(access: Access, admin: Caller, ada: Caller) -> None:
    access.update_user(admin, ada.user_id, enabled=False)
    with pytest.raises(Unauthenticated, match=WRONG):
        signed_in(access, "ada", "ada's own")


@pytest.mark.parametrize(
    "scope",
    [
        ProjectScope(project_id="p-north"),
        ProjectScope(name="north"),
        ProjectScope(name="north", account="default"),
    ],
)
def test_a_project_is_named_by_id_or_by_name(access: Access, scope: ProjectScope) -> None:
    _, there = access.sign_in("admin", "default", ADMIN_PASSWORD, scope, NOW)
    assert there.project is not None
    assert there.project.project_id == "p-north"


@pytest.mark.parametrize("scope", [None, AccountScope(), AccountScope(account="default")])
def test_without_a_project_a_token_is_for_the_account(access: Access, scope: AccountScope | None) -> None:
    plain, there = access.sign_in("admin", "default", ADMIN_PASSWORD, scope, NOW)
    assert there.project is None
    assert access.caller_of_token(plain, NOW).project_id is None


@pytest.mark.parametrize(
    "scope",
    [
        ProjectScope(project_id="p-unknown"),
        ProjectScope(project_id="p-foreign"),
        ProjectScope(name="east"),
        ProjectScope(name="foreign"),
        ProjectScope(name="north", account="elsewhere"),
        AccountScope(account="elsewhere"),
    ],
)
def test_nobody_signs_in_to_what_is_not_theirs(
    access: Access, database: Database, scope: ProjectScope | AccountScope
) -> None:
    with database.transaction() as tx:
        store.insert_account(tx, Account(account_id="elsewhere", name="elsewhere", created_at=NOW))
        store.insert_project(
            tx, Project(project_id="p-foreign", account_id="elsewhere", name="foreign", created_at=NOW)
        )
    with pytest.raises(Unauthenticated, match="not one of the user's"):
        access.sign_in("admin", "default", ADMIN_PASSWORD, scope, NOW)


def test_a_token_ends_after_its_lifetime(access: Access) -> None:
    plain = signed_in(access)
    access.caller_of_token(plain, NOW + tokens.LIFETIME - timedelta(milliseconds=1))
    with pytest.raises(StaleToken):
        access.caller_of_token(plain, NOW + tokens.LIFETIME)


def test_an_unknown_token_is_not_called_stale(access: Access) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        access.caller_of_token("made up", NOW)
    assert not isinstance(refusal.value, StaleToken)


def test_long_expired_tokens_are_forgotten_at_the_next_sign_in(access: Access, database: Database) -> None:
    plain = signed_in(access)
    later = NOW + tokens.LIFETIME + tokens.EXPIRED_KEPT + timedelta(seconds=1)
    access.sign_in("admin", "default", ADMIN_PASSWORD, None, later)
    with database.snapshot() as tx:
        assert store.find_token(tx, tokens.digest_of(plain)) is None


def test_a_new_password_ends_every_token(access: Access, admin: Caller, ada: Caller) -> None:
    plain = signed_in(access, "ada", "ada's own")
    access.update_user(admin, ada.user_id, password="another one")
    with pytest.raises(Unauthenticated):
        access.caller_of_token(plain, NOW)
    with pytest.raises(Unauthenticated):
        signed_in(access, "ada", "ada's own")
    signed_in(access, "ada", "another one")


def test_tokens_of_a_disabled_user_stay_dead_when_it_is_enabled_again(
    access: Access, admin: Caller, ada: Caller
) -> None:
    plain = signed_in(access, "ada", "ada's own")
    for enabled in (False, True):
        access.update_user(admin, ada.user_id, enabled=enabled)
        with pytest.raises(Unauthenticated):
            access.caller_of_token(plain, NOW)


def test_other_changes_end_no_token(access: Access, admin: Caller, ada: Caller) -> None:
    plain = signed_in(access, "ada", "ada's own")
    access.update_user(admin, ada.user_id, description="night shift", enabled=True)
    assert access.show_user(ada, ada.user_id).description == "night shift"
    assert access.update_user(admin, ada.user_id, description="").description is None
    assert access.caller_of_token(plain, NOW) == ada


def test_a_key_signs_for_its_user(access: Access, ada: Caller) -> None:
    key = a_key(access, ada)
    assert (len(key.access_key), len(key.secret_key)) == (20, 40)
    assert key.access_key.isalnum()
    assert key.access_key == key.access_key.upper()
    assert access.signing_key(key.access_key, NOW) == (key.secret_key, ada)


def test_an_unknown_key_is_named_in_the_refusal(access: Access) -> None:
    with pytest.raises(Unauthenticated, match="Get secretKey failed,ak:AKNOBODY,err:ak not exist"):
        access.signing_key("AKNOBODY", NOW)


def test_keys_of_a_disabled_or_deleted_user_sign_nothing(access: Access, admin: Caller, ada: Caller) -> None:
    key = a_key(access, ada)
    access.update_user(admin, ada.user_id, enabled=False)
    with pytest.raises(Unauthenticated):
        access.signing_key(key.access_key, NOW)
    access.update_user(admin, ada.user_id, enabled=True)
    access.signing_key(key.access_key, NOW)
    access.delete_user(admin, ada.user_id)
    with pytest.raises(Unauthenticated):
        access.signing_key(key.access_key, NOW)


def test_users_may_check_their_own_token(access: Access, ada: Caller) -> None:
    plain = signed_in(access, "ada", "ada's own")
    there = access.check_token(ada, plain, NOW)
    assert (there.user.name, there.account.name, there.project) == ("ada", "default", None)


def test_a_checked_token_shows_its_project(access: Access, admin: Caller) -> None:
    plain, there = access.sign_in("admin", "default", ADMIN_PASSWORD, ProjectScope(name="south"), NOW)
    assert access.check_token(admin, plain, NOW) == there


def test_only_administrators_may_check_the_tokens_of_others(access: Access, admin: Caller, ada: Caller) -> None:
    assert access.check_token(admin, signed_in(access, "ada", "ada's own"), NOW).user.name == "ada"
    with pytest.raises(Forbidden):
        access.check_token(ada, signed_in(access), NOW)
    with pytest.raises(Forbidden):
        access.revoke_token(ada, signed_in(access), NOW)


def test_a_token_that_is_over_is_not_found(access: Access, admin: Caller) -> None:
    plain = signed_in(access)
    with pytest.raises(NotFound):
        access.check_token(admin, plain, NOW + tokens.LIFETIME)
    with pytest.raises(NotFound):
        access.check_token(MALLORY, plain, NOW)
    access.revoke_token(admin, plain, NOW)
    for ask in (access.check_token, access.revoke_token):
        with pytest.raises(NotFound) as refusal:
            ask(admin, plain, NOW)
        assert plain not in str(refusal.value)
    with pytest.raises(Unauthenticated):
        access.caller_of_token(plain, NOW)


def test_a_caller_sees_its_own_projects_and_account(access: Access, ada: Caller) -> None:
    assert [project.name for project in access.projects(ada)] == ["north", "south"]
    assert [project.project_id for project in access.projects(ada, "north")] == ["p-north"]
    assert access.projects(ada, "east") == []
    assert [account.account_id for account in access.domains(ada)] == ["default"]
    assert access.projects(MALLORY) == []
    assert access.domains(MALLORY) == []


def test_administrators_make_list_and_delete_users(access: Access, admin: Caller) -> None:
    bob = a_user(access, admin, "bob")
    assert access.show_user(admin, bob.user_id) == bob
    assert [user.name for user in access.list_users(admin)] == ["admin", "bob"]
    assert access.list_users(admin, "bob") == [bob]
    access.delete_user(admin, bob.user_id)
    with pytest.raises(NotFound):
        access.show_user(admin, bob.user_id)


def test_a_user_name_is_given_once(access: Access, admin: Caller) -> None:
    a_user(access, admin, "bob")
    with pytest.raises(Conflict, match="bob"):
        a_user(access, admin, "bob")


def test_an_account_has_only_so_many_users(access: Access, admin: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleetcron.control.users.USERS_MAX", 2)
    a_user(access, admin, "bob")
    with pytest.raises(Conflict, match="2 users"):
        a_user(access, admin, "cy")


def test_users_who_are_no_administrators_see_only_themselves(access: Access, admin: Caller, ada: Caller) -> None:
    assert access.show_user(ada, ada.user_id).name == "ada"
    forbidden = (
        lambda: a_user(access, ada, "bob"),
        lambda: access.list_users(ada),
        lambda: access.show_user(ada, admin.user_id),
        lambda: access.show_user(ada, "nobody"),
        lambda: access.update_user(ada, ada.user_id, enabled=True),
        lambda: access.delete_user(ada, ada.user_id),
        lambda: access.list_access_keys(ada, admin.user_id),
        lambda: a_key(access, ada, admin.user_id),
        lambda: access.show_access_key(ada, "AKADMIN"),
        lambda: access.delete_access_key(ada, "AKADMIN"),
    )
    for attempt in forbidden:
        with pytest.raises(Forbidden, match="ada is not an administrator"):
            attempt()
    access.signing_key("AKADMIN", NOW)


def test_what_is_in_another_account_is_not_found(access: Access, ada: Caller) -> None:
    key = a_key(access, ada)
    unseen = (
        lambda: access.show_user(MALLORY, ada.user_id),
        lambda: access.update_user(MALLORY, ada.user_id, enabled=False),
        lambda: access.delete_user(MALLORY, ada.user_id),
        lambda: access.list_access_keys(MALLORY, ada.user_id),
        lambda: a_key(access, MALLORY, ada.user_id),
        lambda: access.show_access_key(MALLORY, key.access_key),
        lambda: access.delete_access_key(MALLORY, key.access_key),
    )
    for attempt in unseen:
        with pytest.raises(NotFound):
            attempt()
    assert access.signing_key(key.access_key, NOW) == (key.secret_key, ada)


def test_the_last_administrator_stays(access: Access, database: Database, admin: Caller) -> None:
    with pytest.raises(Conflict, match="last administrator"):
        access.delete_user(admin, admin.user_id)
    with pytest.raises(Conflict, match="last administrator"):
        access.update_user(admin, admin.user_id, enabled=False)
    with database.transaction() as tx:
        second = msgspec.structs.replace(access.show_user(admin, admin.user_id), user_id="2", name="second")
        store.insert_user(tx, second)
    access.update_user(admin, admin.user_id, enabled=False)
    with pytest.raises(Conflict, match="last administrator"):
        access.delete_user(admin, "2")


def test_users_see_to_their_own_keys(access: Access, ada: Caller) -> None:
    key = a_key(access, ada)
    (listed,) = access.list_access_keys(ada)
    assert listed.access_key == key.access_key
    assert access.show_access_key(ada, key.access_key) == listed
    assert key.secret_key not in listed.secret_key
    access.delete_access_key(ada, key.access_key)
    with pytest.raises(NotFound):
        access.show_access_key(ada, key.access_key)


def test_administrators_see_to_the_keys_of_others(access: Access, admin: Caller, ada: Caller) -> None:
    key = a_key(access, admin, ada.user_id)
    assert [listed.access_key for listed in access.list_access_keys(admin, ada.user_id)] == [key.access_key]
    access.delete_access_key(admin, key.access_key)
    assert access.list_access_keys(ada) == []


def test_a_user_has_only_so_many_keys(access: Access, ada: Caller) -> None:
    for _ in range(ACCESS_KEYS_MAX):
        a_key(access, ada)
    with pytest.raises(Conflict, match="access keys"):
        a_key(access, ada)


def test_a_temporary_key_signs_with_its_security_token_until_its_end(access: Access, ada: Caller) -> None:
    key = access.create_temporary_key(ada, 900, NOW)
    secret_key, caller = access.signing_key(key.access_key, NOW, security_token=key.security_token)
    assert secret_key == key.secret_key
    assert caller == msgspec.structs.replace(ada, temporary=True)
    for token in (None, "guessed"):
        with pytest.raises(Unauthenticated, match="does not belong"):
            access.signing_key(key.access_key, NOW, security_token=token)
    with pytest.raises(Unauthenticated, match="expired"):
        access.signing_key(key.access_key, NOW + timedelta(seconds=900), security_token=key.security_token)
    assert access.list_access_keys(ada) == []


def test_a_temporary_key_cannot_make_itself_last(access: Access, ada: Caller) -> None:
    temporary = msgspec.structs.replace(ada, temporary=True)
    with pytest.raises(Forbidden, match="temporary"):
        access.create_temporary_key(temporary, 900, NOW)
    with pytest.raises(Forbidden, match="temporary"):
        a_key(access, temporary)


@pytest.mark.parametrize("end", ["password", "key", "itself", "user"])
def test_a_temporary_key_ends_with_what_it_may_have_been_made_with(
    access: Access, admin: Caller, ada: Caller, end: str
) -> None:
    permanent = a_key(access, ada)
    key = access.create_temporary_key(ada, 86_400, NOW)
    access.signing_key(key.access_key, NOW, security_token=key.security_token)
    match end:
        case "password":
            access.update_user(admin, ada.user_id, password="another one")
        case "key":
            access.delete_access_key(ada, permanent.access_key)
        case "itself":
            access.delete_access_key(ada, key.access_key)
        case "user":
            access.update_user(admin, ada.user_id, enabled=False)
    with pytest.raises(Unauthenticated):
        access.signing_key(key.access_key, NOW, security_token=key.security_token)


def test_only_users_of_the_account_have_temporary_keys(access: Access) -> None:
    with pytest.raises(NotFound):
        access.create_temporary_key(MALLORY, 900, NOW)


def test_a_token_is_exchanged_for_one_with_another_scope(access: Access, ada: Caller) -> None:
    plain, there = access.exchange(signed_in(access, "ada", "ada's own"), ProjectScope(name="north"), NOW)
    assert there.project is not None
    assert access.caller_of_token(plain, NOW) == msgspec.structs.replace(ada, project_id="p-north")


def test_a_project_is_shown_to_its_own_account(access: Access, ada: Caller) -> None:
    assert access.show_project(ada, "p-north").name == "north"
    for caller, project_id in ((ada, "nowhere"), (MALLORY, "p-north")):
        with pytest.raises(NotFound):
            access.show_project(caller, project_id)


def test_users_may_ask_for_their_own_projects(access: Access, admin: Caller, ada: Caller) -> None:
    for caller in (admin, ada):
        assert [project.name for project in access.projects_of(caller, ada.user_id)] == ["north", "south"]
    with pytest.raises(Forbidden):
        access.projects_of(ada, admin.user_id)


def test_an_account_is_found_by_its_name(access: Access, ada: Caller) -> None:
    assert [account.name for account in access.domains(ada, "default")] == ["default"]
    assert access.domains(ada, "other") == []
