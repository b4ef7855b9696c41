"""Many machines: the API, the engine and workers as processes of their own, on PostgreSQL and NATS."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from builders import eventually
from fleetcron.cli import main
from fleetcron.dispatch.nats.config import NatsConfig
from nats_line import take_streams_away
from peers.nats import Nats
from peers.postgresql import FAST, postgresql_peer
from running import PASSWORD, PROJECT
from wings import STOP_SECONDS_MAX, Site, Wing

pytestmark = pytest.mark.timeout(180)

# Long enough for whoever carries it out to be ended in the middle.
FLEET = """
[[endpoints]]
name = "lab"
driver = "simulated"
settings = {boot_seconds = [BOOT, BOOT], stop_seconds = [0, 0]}
[[groups]]
id = "lab"
name = "Lab"
[[servers]]
count = 3
id = "lab-{n}"
group = "lab"
endpoint = "lab"
"""
ENDED = {"SUCCESS", "FAILED"}


@pytest.fixture
def site(tmp_path: Path, postgresql_url: str, nats: Nats) -> Iterator[Site]:
    """A fleet that is migrated and has its files, and nothing that runs."""
    site = Site(folder=tmp_path, database=postgresql_url, nats=nats.url, prefix=f"j{uuid4().hex[:8]}")
    migrate(postgresql_url)
    yield site
    asyncio.run(take_streams_away(NatsConfig(servers=tuple(nats.urls), prefix=site.prefix)))


def migrate(url: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["migrate", "--database", url])
    assert ended.value.code == 0


class Person:
    """The administrator, at the API."""

    def __init__(self, api: Wing) -> None:
        user = {"name": "admin", "password": PASSWORD, "domain": {"name": "default"}}
        identity = {"methods": ["password"], "password": {"user": user}}
        auth = {"identity": identity, "scope": {"project": {"id": PROJECT}}}
        answer = httpx.post(f"{api.url}/v3/auth/tokens", json={"auth": auth}, trust_env=False).raise_for_status()
        self._headers = {"X-Auth-Token": answer.headers["X-Subject-Token"]}
        self._url = f"{api.url}/v1/{PROJECT}"

    def ask(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401  (any JSON)
        """What the API answers."""
        url = f"{self._url}/{path}"
        answer = httpx.request(method, url, json=body, headers=self._headers, trust_env=False)
        return answer.raise_for_status().json()

    def task(self, *, in_seconds: int = 2) -> str:
        """A task that soon restarts the whole group; its id."""
        at = datetime.now(UTC) + timedelta(seconds=in_seconds)
        body = {
            "task_name": "soon",
            "task_type": "RESTART_SERVER",
            "scheduled_type": "FIXED_TIME",
            "scheduled_date": f"{at:%Y-%m-%d}",
            "scheduled_time": f"{at:%H:%M:%S}",
            "time_zone": "UTC",
            "target_infos": [{"target_type": "SERVER_GROUP", "target_id": "lab"}],
        }
        return str(self.ask("POST", "schedule-task", body)["id"])

    def execution(self, task_id: str) -> dict[str, Any] | None:
        """The task's only execution, once there is one."""
        rows = self.ask("GET", f"schedule-task/{task_id}/execute-history")["items"]
        assert len(rows) <= 1
        return rows[0] if rows else None

    def ended(self, task_id: str) -> dict[str, Any]:
        """The execution at its end."""
        ended = eventually(
            lambda: [row] if (row := self.execution(task_id)) and row["status"] in ENDED else [], seconds=60
        )
        return ended[0]


def accepted(folder: Path) -> list[str]:
    """The servers that were told something and took it, as the world remembers it."""
    lines = (folder / "world" / "simulated-lab.jsonl").read_text().splitlines()
    facts = [json.loads(line) for line in lines]
    return sorted(fact["handle"] for fact in facts if fact["verb"] == "submit" and fact["answer"] == "accepted")


def ended_well(wing: Wing) -> None:
    wing.process.send_signal(signal.SIGTERM)
    assert wing.process.wait(STOP_SECONDS_MAX) == 0, wing.log.read_text()


def test_a_task_fires_runs_at_a_site_and_its_history_tells(site: Site) -> None:
    site.write(FLEET.replace("BOOT", "0"))
    with site.api() as api, site.engine() as engine, site.worker() as worker:
        for wing in (api, engine, worker):
            eventually(wing.is_ready)
            assert wing.health("live")[0] == 200
        person = Person(api)
        row = person.ended(task_id := person.task())
        detail = person.ask("GET", f"schedule-task/{row['id']}/execute-detail")
        for wing in (worker, engine, api):
            ended_well(wing)
    assert (row["status"], row["total_count"], row["success_count"]) == ("SUCCESS", 3, 3), task_id
    assert {one["status"] for one in detail["items"]} == {"SUCCESS"}
    assert accepted(site.folder) == ["lab-1", "lab-2", "lab-3"]
    # It has worked, and has needed no database for it.
    assert "nats" in worker.modules()
    assert worker.modules() & {"sqlite3", "psycopg", "fleetcron.store", "fleetcron.control"} == set()
    assert "psycopg" in engine.modules()
    assert engine.modules() & {"fleetcron.drivers", "fleetcron.control.access"} == set()


def test_a_worker_that_is_ended_midway_hands_over_and_no_server_is_told_twice(site: Site) -> None:
    site.write(FLEET.replace("BOOT", "12"))
    with ExitStack() as running:
        api = running.enter_context(site.api())
        running.enter_context(site.engine())
        first = running.enter_context(site.worker("--drain-seconds", "0.5"))
        eventually(first.is_ready)
        person = Person(api)
        task_id = person.task()
        eventually(lambda: (row := person.execution(task_id)) and row["status"] == "RUNNING", seconds=20)
        eventually(lambda: len(accepted(site.folder)) == 3)
        ended_well(first)
        assert (row := person.execution(task_id)) is not None
        assert row["status"] == "RUNNING"
        running.enter_context(site.worker())
        row = person.ended(task_id)
    assert (row["status"], row["success_count"]) == ("SUCCESS", 3)
    assert accepted(site.folder) == ["lab-1", "lab-2", "lab-3"]


def test_a_worker_that_is_given_the_time_finishes_what_it_has(site: Site) -> None:
    site.write(FLEET.replace("BOOT", "3"))
    with site.api() as api, site.engine(), site.worker("--drain-seconds", "30") as worker:
        person = Person(api)
        task_id = person.task()
        eventually(lambda: (row := person.execution(task_id)) and row["status"] == "RUNNING", seconds=20)
        worker.process.send_signal(signal.SIGTERM)
        eventually(lambda: not worker.is_ready())
        assert worker.health()[1]["process"] == "is ending"
        assert worker.process.wait(STOP_SECONDS_MAX) == 0
        row = person.ended(task_id)
    assert (row["status"], row["success_count"]) == ("SUCCESS", 3)


def test_without_a_line_a_wing_lives_and_is_not_ready(tmp_path: Path, postgresql_url: str, nats: Nats) -> None:
    nowhere = Site(folder=tmp_path, database=postgresql_url, nats="nats://127.0.0.1:1", prefix="nowhere")
    nowhere.write(FLEET.replace("BOOT", "0"))
    migrate(postgresql_url)
    with nowhere.engine() as engine, nowhere.worker() as worker:
        for wing in (engine, worker):
            assert wing.health("live")[0] == 200
            status, parts = wing.health()
            assert (status, parts["line"]) == (503, "is not connected")


def test_without_its_database_a_wing_is_not_ready_until_it_is_back(tmp_path: Path, nats: Nats) -> None:
    (tmp_path / "postgresql").mkdir()
    with postgresql_peer(tmp_path / "postgresql", settings=FAST) as postgresql:
        url = postgresql.create_database()
        site = Site(folder=tmp_path, database=url, nats=nats.url, prefix=f"j{uuid4().hex[:8]}")
        site.write(FLEET.replace("BOOT", "0"))
        migrate(url)
        with site.api() as api, site.engine() as engine:
            wings = (api, engine)
            for wing in wings:
                eventually(wing.is_ready)
            postgresql.stop(signal.SIGQUIT)
            for wing in wings:
                eventually(silent(wing), seconds=20)
                assert wing.health("live")[0] == 200
            postgresql.start()
            for wing in wings:
                eventually(wing.is_ready, seconds=20)
    asyncio.run(take_streams_away(NatsConfig(servers=tuple(nats.urls), prefix=site.prefix)))


def silent(wing: Wing) -> Callable[[], bool]:
    return lambda: wing.health()[1]["database"] == "does not answer"


def test_a_node_that_cannot_start_says_why(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    site.write(FLEET.replace("BOOT", "0"))
    fleet = str(site.folder / "fleet.toml")
    for arguments, code, words in (
        (["api"], 2, "FLEETCRON_DATABASE"),
        (["api", "--database", site.database, "--port", "0"], 2, "FLEETCRON_SECRET_KEYS_FILE"),
        (["engine", "--database", site.database], 2, "FLEETCRON_NATS"),
        (
            ["engine", "--database", "postgresql://127.0.0.1:1/none", "--nats", site.nats, "--health-port", "0"],
            7,
            "answer",
        ),
        (["worker", "--nats", site.nats, "--fleet", fleet, "--site", "attic"], 2, "attic"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        said = capfd.readouterr().err
        assert ended.value.code == code, said
        assert words in said
