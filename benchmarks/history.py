"""What a page of history costs: at any depth of a million executions, and beside the framework's own limit."""

from __future__ import annotations

import http.client
import socket
import sqlite3
import statistics
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from benchmarks.stage import PROJECT_ID, answering, folder, founded, load, process, serving, spread, token
from fleetcron.assembly.clock import new_id, now
from fleetcron.domain.execution import Execution, Status
from fleetcron.domain.schedule import Cycle, Rule
from fleetcron.domain.task import Task, TaskType
from fleetcron.store import executions, tasks
from fleetcron.store.database import Database
from fleetcron.store.sqlite import FILE_NAME
from fleetcron.wire.executions import record_of

EXECUTIONS = 1_000_000
BATCH = 10_000
ROUNDS = 5
PAGES_A_ROUND = 400
TASK_ID = "62f48b59-0ebb-4b1e-ad35-f64948a0591b"
PATH = f"/v1/{PROJECT_ID}/schedule-task/{TASK_ID}/execute-history"
BEGINNING = datetime(2020, 1, 1, tzinfo=UTC)
TARGETS = {10: 0.4, 100: 0.15}


def measure(count: int = EXECUTIONS) -> str:
    """Measure and report."""
    with folder() as data_dir:
        with founded(data_dir) as database:
            fill(database, count)
        size_bytes = (data_dir / FILE_NAME).stat().st_size
        with serving(data_dir) as address:
            x_auth_token = token(address)
            counted = _count(address, x_auth_token, data_dir)
            depth = _depth(address, x_auth_token, count)
            beside = _beside_the_limit(address, x_auth_token, data_dir)
    return f"""## A page of history, {count:,} executions of one task

One service process on SQLite ({size_bytes / 1e9:.2f} GB), authentication and authorisation included. `count` on every
page: {counted:,}, the same as counting the rows.

### The same at any depth

One connection, milliseconds a page; {ROUNDS} rounds of {PAGES_A_ROUND} pages each, first and deep pages in turn;
median of the rounds' medians (least to most).

| limit | offset 0 | offset {count - 10:,} | ratio |
|---|---|---|---|
{depth}

### Beside the limit of the framework

Requests a second over 32 connections from wrk, server and load on a core each; the limit is the same uvicorn and
Starlette answering the same bytes from memory. Runs alternate; median (least to most) of {ROUNDS}, ratio of each pair.

| limit | fleetcron | the limit | ratio | promised |
|---|---|---|---|---|
{beside}
"""


def fill(database: Database, count: int) -> None:
    """Write so many finished executions of one task."""
    rule = Rule(cycle=Cycle.DAILY, interval_days=1, at=BEGINNING.time(), zone="Asia/Shanghai")
    task = Task(
        task_id=TASK_ID,
        project_id=PROJECT_ID,
        name="million",
        task_type=TaskType.RESTART_SERVER,
        rule=rule,
        targets=(),
        enforcement=None,
        description=None,
        enabled=False,
        anchor=None,
        next_fire_at=None,
        first_ordinal=1,
        last_ordinal=count,
        created_at=now(),
        updated_at=now(),
        deleted_at=None,
    )
    with database.transaction() as tx:
        tasks.insert(tx, task)
    for first in range(1, count + 1, BATCH):
        ended = [_ended(ordinal) for ordinal in range(first, min(first + BATCH, count + 1))]
        with database.transaction() as tx:
            executions.insert(tx, ended)
            executions.seal(tx, [(execution, record_of(execution)) for execution in ended])


def _ended(ordinal: int) -> Execution:
    at = BEGINNING + timedelta(minutes=ordinal)
    return Execution(
        execution_id=new_id(),
        task_id=TASK_ID,
        project_id=PROJECT_ID,
        ordinal=ordinal,
        fire_at=at,
        start_until=at,
        task_type=TaskType.RESTART_SERVER,
        cycle=Cycle.DAILY,
        zone="Asia/Shanghai",
        enforcement=False,
        status=Status.SUCCESS,
        total=10,
        succeeded=10,
        failed=0,
        running=0,
        began_at=at,
        ended_at=at + timedelta(seconds=40),
        created_at=at,
    )


def _count(address: str, x_auth_token: str, data_dir: Path) -> int:
    page = httpx.get(f"{address}{PATH}", headers={"X-Auth-Token": x_auth_token}).raise_for_status().json()
    with sqlite3.connect(f"file:{data_dir / FILE_NAME}?mode=ro", uri=True) as reader:
        (counted,) = reader.execute("SELECT count(*) FROM executions WHERE task_id = ?", (TASK_ID,)).fetchone()
    assert page["count"] == counted
    return int(counted)


def _depth(address: str, x_auth_token: str, count: int) -> str:
    rows = []
    for limit in (10, 100):
        first: list[float] = []
        deep: list[float] = []
        for _ in range(ROUNDS):
            first.append(_median_milliseconds(address, x_auth_token, 0, limit))
            deep.append(_median_milliseconds(address, x_auth_token, count - limit, limit))
        ratios = [b / a for a, b in zip(first, deep, strict=True)]
        rows.append(f"| {limit} | {spread(first, 3)} | {spread(deep, 3)} | {spread(ratios, 2)} |")
    return "\n".join(rows)


def _median_milliseconds(address: str, x_auth_token: str, offset: int, limit: int) -> float:
    return 1000 * statistics.median(_seconds(address, x_auth_token, f"{PATH}?offset={offset}&limit={limit}", limit))


def _seconds(address: str, x_auth_token: str, path: str, limit: int) -> Iterator[float]:
    connection = http.client.HTTPConnection(urlsplit(address).netloc)
    for _ in range(PAGES_A_ROUND):
        began = time.perf_counter()
        connection.request("GET", path, headers={"X-Auth-Token": x_auth_token})
        answer = connection.getresponse().read()
        yield time.perf_counter() - began
        assert answer.count(b'"task_id"') == limit
    connection.close()


def _beside_the_limit(address: str, x_auth_token: str, data_dir: Path) -> str:
    for limit in TARGETS:
        url = f"{address}{PATH}?offset=1000&limit={limit}"
        body = httpx.get(url, headers={"X-Auth-Token": x_auth_token}).raise_for_status().content
        (data_dir / f"{limit}.json").write_bytes(body)
    port = _free_port()
    rows = []
    with process([sys.executable, "-m", "benchmarks.fixed", str(port), str(data_dir)], pinned=True):
        fixed = answering(f"http://127.0.0.1:{port}")
        for limit, promised in TARGETS.items():
            query = f"{PATH}?offset=1000&limit={limit}"
            ours: list[float] = []
            most: list[float] = []
            for _ in range(ROUNDS):
                ours.append(load(address + query, {"X-Auth-Token": x_auth_token}))
                most.append(load(fixed + query, {"X-Auth-Token": x_auth_token}))
            ratios = [a / b for a, b in zip(ours, most, strict=True)]
            rows.append(f"| {limit} | {spread(ours)} | {spread(most)} | **{spread(ratios, 2)}** | {promised} |")
    return "\n".join(rows)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
