"""The founding of the account: what the settings say is made so at every start, and nothing else changes."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import argon2
import pytest

from fleetcron.control.access import Access
from fleetcron.control.founding import Established, Founding
from fleetcron.control.passwords import Passwords
from fleetcron.errors import BadSettings, Unauthenticated
from fleetcron.store.database import Database
from fleetcron.store.vault import Vault

# Real hashes cost a tenth of a second each, and these tests take hundreds.
CHEAP = Passwords(argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=1)


@pytest.fixture
def access(bare_database: Database, vault: Vault) -> Access:
    return Access(bare_database, CHEAP, vault)


def start(access: Access, now: datetime = LATER, regions: tuple[str, ...] = ("north",), **given: Any) -> Established:  # noqa: ANN401
    return access.establish(now, Founding(regions=regions, **given))


def test_a_first_start_generates_what_is_not_given(access: Access) -> None:
    made = start(access, NOW, regions=("north", "south"))
    assert made.admin_password is not None
    assert made.access_key is not None
    access.sign_in("admin", "default", made.admin_password, None, NOW)
    secret, caller = access.signing_key(made.access_key, NOW)
    assert secret == made.secret_key
    assert (caller.user_name, caller.administrator) == ("admin", True)
    assert [project.name for project in made.projects] == ["north", "south"]
    assert made.project_id == made.projects[0].project_id
    assert all(len(bytes.fromhex(project.project_id)) == 16 for project in made.projects)


def test_a_later_start_changes_and_tells_nothing(access: Access) -> None:
    first = start(access, NOW)
    again = start(access)
    assert again == Established(
        projects=first.projects, project_id=None, admin_password=None, access_key=None, secret_key=None
    )
    access.sign_in("admin", "default", first.admin_password or "", None, LATER)
    access.signing_key(first.access_key or "", NOW)


def test_what_is_given_is_so_and_is_not_told(access: Access) -> None:
    given = {"admin_password": "a", "access_key": "AK", "secret_key": "SK", "project_id": "p"}
    for now in (NOW, LATER):
        made = start(access, now, regions=("north", "south"), **given)
        assert (made.admin_password, made.access_key, made.secret_key, made.project_id) == (None,) * 4
        assert made.projects[0].project_id == "p"
        access.sign_in("admin", "default", "a", None, now)
        assert access.signing_key("AK", NOW)[0] == "SK"


def test_what_is_given_later_is_made_so_later(access: Access) -> None:
    first = start(access, NOW)
    start(access, admin_password="new", access_key="AK", secret_key="SK")
    access.sign_in("admin", "default", "new", None, LATER)
    assert access.signing_key("AK", NOW)[0] == "SK"
    with pytest.raises(Unauthenticated):
        access.sign_in("admin", "default", first.admin_password or "", None, LATER)
    start(access, access_key="AK", secret_key="SK2")
    assert access.signing_key("AK", NOW)[0] == "SK2"


def test_the_same_password_again_ends_no_token_and_another_does(access: Access) -> None:
    start(access, NOW, admin_password="a")
    plain, _ = access.sign_in("admin", "default", "a", None, NOW)
    start(access, NOW, admin_password="a")
    access.caller_of_token(plain, NOW)
    start(access, NOW, admin_password="b")
    with pytest.raises(Unauthenticated):
        access.caller_of_token(plain, NOW)


def test_a_password_that_a_start_changes_is_told_in_the_log(access: Access, caplog: pytest.LogCaptureFixture) -> None:
    start(access, NOW, admin_password="a")
    start(access, NOW, admin_password="a")
    assert caplog.messages == []
    start(access, NOW, admin_password="b")
    assert caplog.messages == ["the administrator's password was set from FLEETCRON_ADMIN_PASSWORD"]


def test_a_region_named_later_gets_its_project(access: Access) -> None:
    first = start(access, NOW, project_id="p")
    made = start(access, regions=("south", "north"))
    assert made.projects[1] == first.projects[0]
    assert made.project_id == made.projects[0].project_id


def test_a_region_named_twice_has_one_project(access: Access) -> None:
    assert len(start(access, regions=("north", "north")).projects) == 1


def test_a_project_id_cannot_be_changed_or_shared(access: Access) -> None:
    start(access, NOW, project_id="p")
    with pytest.raises(BadSettings, match="FLEETCRON_PROJECT_ID: region north already has project p"):
        start(access, project_id="q")
    with pytest.raises(BadSettings, match="FLEETCRON_PROJECT_ID: project p is already another region's"):
        start(access, regions=("south",), project_id="p")


def test_a_key_of_another_user_is_not_taken_over(access: Access) -> None:
    made = start(access, NOW)
    _, admin = access.signing_key(made.access_key or "", NOW)
    bob = access.create_user(admin, name="bob", password=None, description=None, enabled=True, now=NOW)
    key = access.create_access_key(admin, user_id=bob.user_id, description=None, now=NOW)
    with pytest.raises(BadSettings, match="FLEETCRON_ACCESS_KEY"):
        start(access, access_key=key.access_key, secret_key="SK")
    assert access.signing_key(key.access_key, NOW)[0] == key.secret_key


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"regions": ()}, "FLEETCRON_REGIONS"),
        ({"access_key": "AK"}, "FLEETCRON_SECRET_KEY"),
        ({"secret_key": "SK"}, "FLEETCRON_ACCESS_KEY"),
        ({"access_key": "A, K", "secret_key": "SK"}, "FLEETCRON_ACCESS_KEY"),
        ({"access_key": "AK", "secret_key": ""}, "FLEETCRON_SECRET_KEY"),
        ({"project_id": "a/b"}, "FLEETCRON_PROJECT_ID"),
        ({"project_id": ""}, "FLEETCRON_PROJECT_ID"),
        ({"admin_password": ""}, "FLEETCRON_ADMIN_PASSWORD"),
        ({"admin_password": "a" * 129}, "FLEETCRON_ADMIN_PASSWORD"),
    ],
)
def test_settings_that_cannot_work_are_named(given: dict[str, Any], where: str) -> None:
    with pytest.raises(BadSettings) as refusal:
        Founding(**{"regions": ("north",)} | given)
    assert refusal.value.where == where


def test_no_secret_shows_in_a_repr(access: Access) -> None:
    founding = Founding(regions=("north",), admin_password="hush", access_key="AK", secret_key="hushhush")
    assert "hush" not in repr(founding)
    made = start(access)
    assert (made.secret_key or "") not in repr(made)
    assert (made.admin_password or "") not in repr(made)


def test_services_that_start_together_found_one_account(bare_database: Database, vault: Vault) -> None:
    """One of them makes everything and tells the secrets; the others find it made."""
    nodes = [Access(bare_database, CHEAP, vault) for _ in range(4)]
    together = threading.Barrier(len(nodes))

    def found(access: Access) -> Established:
        with bare_database.snapshot():
            together.wait()
        return start(access, NOW, regions=("north", "south"))

    with ThreadPoolExecutor(len(nodes)) as threads:
        made = [*threads.map(found, nodes)]
    (told,) = [one for one in made if one.admin_password is not None]
    assert {one.projects for one in made} == {told.projects}
    with bare_database.snapshot() as tx:
        counts = [tx.execute(f"SELECT count(*) FROM {table}").fetchone() for table in ("accounts", "users", "projects")]  # noqa: S608  (the test's own)
    assert counts == [(1,), (1,), (2,)]
    nodes[0].sign_in("admin", "default", told.admin_password or "", None, NOW)
