"""What docs/operating.md says to type for a backup and a restore brings everything back."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest

from builders import eventually
from fleetcron.dispatch.nats.config import NatsConfig
from fleetcron.store.postgresql import migrate
from nats_line import take_streams_away
from peers.nats import Nats
from peers.postgresql import Postgresql
from running import ACCESS_KEY, FLEET, PASSWORD, PROJECT, SECRET_KEY, Running, running
from wings import Site

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")

BLOCK_SECONDS_MAX = 120

# What is given at a start is made so: with another key given, the first one has only what the backup holds of it.
AFTERWARDS: Final = {"FLEETCRON_ACCESS_KEY": "AKAFTERWARDS", "FLEETCRON_SECRET_KEY": "SKAFTERWARDS"}


def block(name: str) -> str:
    """The shell lines that stand on the page under this mark."""
    found = re.findall(rf"^<!-- {re.escape(name)} -->\n```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert len(found) == 1, f"docs/operating.md has {len(found)} blocks marked {name}"
    text: str = found[0]
    return text


def type_in(name: str, variables: dict[str, str], programs: str = "") -> None:
    """Do what the page says, in a shell in which these variables are set and ``programs`` are found first."""
    own = {one: value for one, value in os.environ.items() if not one.startswith(("FLEETCRON_", "PG"))}
    path = os.pathsep.join([programs, str(Path(sys.executable).parent), own["PATH"]]).lstrip(os.pathsep)
    done = subprocess.run(
        ["sh", "-eu", "-c", block(name)],
        env=own | {"PATH": path} | variables,
        capture_output=True,
        text=True,
        timeout=BLOCK_SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def folders(tmp_path: Path) -> dict[str, str]:
    """Where the backup goes, and where the keys' goes: not beside it."""
    for name in ("backup", "keys-backup"):
        (tmp_path / name).mkdir()
    return {"BACKUP": str(tmp_path / "backup"), "KEYS_BACKUP": str(tmp_path / "keys-backup")}


def signed(url: str, folder: Path) -> str:
    """What the command line shows who signs by access key: the secret of the key had to be opened for that."""
    own = {one: value for one, value in os.environ.items() if not one.startswith("FLEETCRON_")}
    keys = {"FLEETCRON_URL": url, "FLEETCRON_ACCESS_KEY": ACCESS_KEY, "FLEETCRON_SECRET_KEY": SECRET_KEY}
    return subprocess.run(
        [sys.executable, "-m", "fleetcron", "task", "list", "--json"],
        cwd=folder,
        env=own | keys | {"FLEETCRON_PROJECT_ID": PROJECT},
        capture_output=True,
        text=True,
        timeout=BLOCK_SECONDS_MAX,
        check=True,
    ).stdout


def ask(service: Running, path: str) -> Any:  # noqa: ANN401  (JSON)
    answer = httpx.get(
        f"{service.project_url}/{path}", headers={"X-Auth-Token": service.token()}, trust_env=False, timeout=30
    )
    return answer.raise_for_status().json()


def told(service: Running, task_id: str) -> tuple[Any, Any, Any]:
    """The task, its history, and the details of its newest execution."""
    history = ask(service, f"schedule-task/{task_id}/execute-history")
    details = [ask(service, f"schedule-task/{one['id']}/execute-detail") for one in history["items"]]
    return ask(service, f"schedule-task/{task_id}"), history, details


def a_task(service: Running, *, at: datetime) -> str:
    body = {
        "task_name": f"restart-{at:%d-%H%M%S}",
        "task_type": "RESTART_SERVER",
        "scheduled_type": "FIXED_TIME",
        "time_zone": "UTC",
        "scheduled_date": f"{at:%Y-%m-%d}",
        "scheduled_time": f"{at:%H:%M:%S}",
        "target_infos": [{"target_type": "SERVER_GROUP", "target_id": "lab"}],
    }
    answer = httpx.post(
        f"{service.project_url}/schedule-task",
        json=body,
        headers={"X-Auth-Token": service.token()},
        trust_env=False,
        timeout=30,
    )
    return str(answer.raise_for_status().json()["id"])


def a_finished_task(service: Running) -> str:
    task_id = a_task(service, at=datetime.now(UTC) + timedelta(seconds=2))

    def finished() -> bool:
        history = ask(service, f"schedule-task/{task_id}/execute-history")
        return (
            bool(history["count"]) and "end_time" in history["items"][0] and history["items"][0]["end_time"] is not None
        )

    eventually(finished, seconds=60)
    return task_id


def test_a_running_service_on_sqlite_is_backed_up_and_restored(tmp_path: Path) -> None:
    variables = folders(tmp_path)
    with running(tmp_path) as service:
        task_id = a_finished_task(service)
        waiting = a_task(service, at=datetime.now(UTC) + timedelta(days=30))
        type_in("backup: sqlite", variables | {"FLEETCRON_DATA_DIR": str(tmp_path / "data")})
        # It went on meanwhile: this is after the backup, and not in it.
        later = a_task(service, at=datetime.now(UTC) + timedelta(days=31))
        before, listed = told(service, task_id), signed(service.url, tmp_path)
    restored = tmp_path / "restored"
    restored.mkdir()
    type_in("restore: sqlite", variables | {"FLEETCRON_DATA_DIR": str(restored / "data")})
    with running(restored, environment=AFTERWARDS) as service:
        assert told(service, task_id) == before
        assert waiting in signed(service.url, tmp_path)
        assert later in listed
        assert later not in signed(service.url, tmp_path)


@contextmanager
def wings(site: Site) -> Iterator[Running]:
    """An API, an engine and a worker of this fleet."""
    with site.api() as api, site.engine(), site.worker("--drain-seconds", "0"):
        yield Running(
            url=api.url,
            project_id=PROJECT,
            access_key=ACCESS_KEY,
            secret_key=SECRET_KEY,
            password=PASSWORD,
            process=api.process,
        )


@pytest.fixture
def site(tmp_path: Path, nats: Nats) -> Iterator[Callable[[str, str], Site]]:
    """Fleets, each with a folder and a database of its own, whose line is one that nobody else uses."""
    prefix = f"b{uuid4().hex[:8]}"

    def make(name: str, database: str) -> Site:
        (tmp_path / name).mkdir()
        site = Site(folder=tmp_path / name, database=database, nats=nats.url, prefix=prefix)
        site.write(FLEET)
        return site

    yield make
    asyncio.run(take_streams_away(NatsConfig(servers=tuple(nats.urls), prefix=prefix)))


@pytest.fixture
def database_url(postgresql: Postgresql) -> Iterator[Callable[[], str]]:
    """Addresses of new, empty databases; they are gone after the test."""
    with ExitStack() as stack:

        def make() -> str:
            url = postgresql.create_database()
            stack.callback(postgresql.drop_database, url)
            return url

        yield make


def test_running_wings_on_postgresql_are_backed_up_and_restored(
    tmp_path: Path, postgresql: Postgresql, database_url: Callable[[], str], site: Callable[[str, str], Site]
) -> None:
    variables, programs = folders(tmp_path), str(postgresql.programs)
    first, second = site("first", database_url()), site("second", database_url())
    migrate(first.database)
    given = {"FLEETCRON_DATABASE": first.database, "FLEETCRON_SECRET_KEYS_FILE": str(first.folder / "secret.keys")}
    with wings(first) as service:
        task_id = a_finished_task(service)
        type_in("backup: postgresql", variables | given, programs)
        later = a_task(service, at=datetime.now(UTC) + timedelta(days=31))
        before = told(service, task_id)
    type_in("restore: postgresql", variables | {"FLEETCRON_DATABASE": second.database}, programs)
    # With any other keys than those that were saved, it would not start.
    (tmp_path / "keys-backup" / "secret.keys").replace(second.folder / "secret.keys")
    with wings(second) as service:
        assert told(service, task_id) == before
        assert later not in signed(service.url, tmp_path)
        # It is no museum: what is restored goes on working.
        assert told(service, a_finished_task(service))[1]["items"][0]["status"] == "SUCCESS"
