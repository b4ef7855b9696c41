"""What a door turns away before anything is asked of control."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import psycopg
import pytest
import uvicorn

from builders import eventually
from fleetcron.assembly.api import Api
from fleetcron.assembly.clock import now
from fleetcron.assembly.databases import open_database
from fleetcron.assembly.settings import DoorSettings, Tuning
from fleetcron.control.access import Access
from fleetcron.store.postgresql import migrate
from fleetcron.store.vault import new_key, open_vault

TOKEN = "X-Auth-Token"
PROJECT = "0123456789abcdef0123456789abcdef"
PASSWORD = "correct horse"


class Shared(NamedTuple):
    """An API node, its database, and a token of the administrator's."""

    url: str
    database_url: str
    token: str


@pytest.mark.parametrize("name", ["X-Auth-Token", "Authorization", "X-Security-Token"])
def test_a_credential_that_comes_twice_is_refused(stranger: httpx.Client, name: str) -> None:
    answer = stranger.get("/schedule-task", headers=[(name, "one"), (name.lower(), "two")])
    assert answer.status_code == 400
    assert name.lower() in answer.json()["error_msg"]


@pytest.mark.parametrize("path", ["/schedule-task/a%2Fb", "/schedule-task%2Fa", "/app-servers/%2f"])
def test_an_encoded_slash_opens_no_door(web: httpx.Client, path: str) -> None:
    answer = web.get(path)
    assert (answer.status_code, answer.json()["error_code"]) == (404, "APIGW.0101")


def test_a_nul_in_the_path_is_refused(web: httpx.Client) -> None:
    answer = web.get("/schedule-task/a%00b")
    assert answer.status_code == 400
    assert "NUL" in answer.json()["error_msg"]


def test_every_answer_can_be_quoted(stranger: httpx.Client, web: httpx.Client) -> None:
    answers = [
        stranger.get("/schedule-task"),
        web.get("/schedule-task"),
        web.post("/schedule-task"),
        web.put("/nowhere"),
    ]
    ids = {answer.headers["X-Request-Id"] for answer in answers}
    assert len(ids) == len(answers)


def test_what_may_hold_secrets_is_kept_by_nobody_on_the_way(stranger: httpx.Client, address: str) -> None:
    assert stranger.get(f"{address}/v3").headers["Cache-Control"] == "no-store"
    assert "Cache-Control" not in stranger.get("/schedule-task").headers


@contextmanager
def answering(api: Api) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(api.app, lifespan="off", ws="none", log_config=None))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            eventually(lambda: server.started)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def shared(postgresql_url: str, tmp_path: Path) -> Iterator[Shared]:
    """The doors over a database that can keep whoever reads waiting."""
    migrate(postgresql_url)
    keys = tmp_path / "secret.keys"
    keys.touch(mode=0o600)
    keys.write_text(new_key())
    with closing(open_database(postgresql_url, connections_max=8)) as database:
        settings = DoorSettings(secret_keys=keys, project_id=PROJECT, admin_password=PASSWORD)
        api = Api(database, settings, Tuning(), found=None, clock=now, wake=lambda: None)
        token = Access(database, vault=open_vault(database, keys)).sign_in("admin", "default", PASSWORD, None, now())[0]
        with answering(api) as url:
            yield Shared(url, postgresql_url, token)


@pytest.mark.parametrize("table", ["tasks", "tokens"], ids=["the deed", "who asks"])
def test_where_reads_wait_nobody_else_waits_for_them(shared: Shared, table: str) -> None:
    path = f"{shared.url}/v1/{PROJECT}/schedule-task"
    with (
        ThreadPoolExecutor(1) as threads,
        psycopg.connect(shared.database_url) as holder,
        psycopg.connect(shared.database_url, autocommit=True) as watcher,
    ):
        holder.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        slow = threads.submit(httpx.get, path, headers={TOKEN: shared.token}, timeout=30, trust_env=False)
        try:
            eventually(lambda: watcher.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchall() != [(0,)])
            quick = httpx.get(f"{shared.url}/openapi.json", timeout=4, trust_env=False)
            was_waiting = not slow.done()
        finally:
            holder.rollback()
    assert (quick.status_code, was_waiting) == (200, True)
    assert slow.result().status_code == 200
