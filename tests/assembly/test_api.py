"""The wing that answers people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from builders import Clock
from fleetcron.assembly.api import Api, ApiSettings, Welcome, read_inventory, serve_api
from fleetcron.assembly.databases import ClockedDatabase, open_database
from fleetcron.assembly.settings import DoorSettings, Tuning
from fleetcron.errors import BadSettings, Unavailable
from fleetcron.store import fleet
from fleetcron.store.postgresql import migrate
from fleetcron.store.vault import new_key

FLEET = """
[[endpoints]]
name = "lab"
driver = "command"
site = "north"
concurrency_max = 3
settings = { secret = "hush" }
[[servers]]
id = "s-1"
endpoint = "lab"
"""


@pytest.fixture
def shared(postgresql_url: str) -> Iterator[ClockedDatabase]:
    """A database that several nodes may share."""
    migrate(postgresql_url)
    with closing(open_database(postgresql_url, connections_max=4)) as database:
        yield database


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A file of keys, as an operator makes one."""
    path = tmp_path / "secret.keys"
    path.write_text(new_key() + "\n")
    path.chmod(0o600)
    return path


def an_api(database: ClockedDatabase, settings: DoorSettings, clock: Clock) -> Api:
    found = read_inventory(settings.fleet, clock())
    return Api(database, settings, Tuning(), found=found, clock=clock, wake=lambda: None)


def test_every_node_finds_the_account_that_the_first_has_made(
    shared: ClockedDatabase, keys: Path, clock: Clock
) -> None:
    settings = DoorSettings(secret_keys=keys)
    first, second = an_api(shared, settings, clock).established, an_api(shared, settings, clock).established
    assert first.admin_password is not None
    assert second.admin_password is None
    assert first.projects == second.projects


def test_the_inventory_is_what_the_file_of_the_latest_start_says_without_what_only_workers_need(
    shared: ClockedDatabase, keys: Path, clock: Clock, tmp_path: Path
) -> None:
    path = tmp_path / "fleet.toml"
    for text in (FLEET, FLEET.replace("s-1", "s-2")):
        path.write_text(text)
        an_api(shared, DoorSettings(secret_keys=keys, fleet=path), clock)
    (project,) = an_api(shared, DoorSettings(secret_keys=keys), clock).established.projects
    with shared.snapshot() as tx:
        (reach,) = fleet.endpoints(tx)
        assert fleet.find_server(tx, project.project_id, "s-2")
        assert fleet.find_server(tx, project.project_id, "s-1") is None
    assert (reach.name, reach.site, reach.driver, reach.concurrency_max) == ("lab", "north", "command", 3)


def test_without_a_file_of_keys_nothing_is_founded(shared: ClockedDatabase, clock: Clock) -> None:
    with pytest.raises(BadSettings, match="FLEETCRON_SECRET_KEYS_FILE"):
        an_api(shared, DoorSettings(), clock)
    with shared.snapshot() as tx:
        assert tx.execute("SELECT count(*) FROM accounts").fetchall() == [(0,)]


def test_a_database_that_does_not_answer_is_said_to_be_so(keys: Path) -> None:
    settings = ApiSettings(database="postgresql://nobody@127.0.0.1:1/none", port=0, secret_keys=keys)
    with pytest.raises(Unavailable, match="does not answer"):
        serve_api(settings, lambda _: None)


def test_neither_settings_nor_a_welcome_show_a_secret_in_their_repr(tmp_path: Path) -> None:
    welcome = Welcome(
        url="http://127.0.0.1:1",
        data_dir=tmp_path,
        region="north",
        project_id="p1",
        user="admin",
        domain="default",
        admin_password="hush",
        access_key="AK",
        secret_key="hush",
    )
    settings = ApiSettings(database="postgresql://user:hush@host/db", admin_password="hush", secret_key="hush")
    assert "hush" not in f"{welcome!r} {settings!r}"
