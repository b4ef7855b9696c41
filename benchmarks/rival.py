"""Procrastinate, the task queue in PostgreSQL, doing as much of nothing as we do."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import psycopg

from benchmarks.stage import folder, process
from peers.keystone import environment_of
from peers.postgresql import Postgresql

# An environment of its own, as of every peer: its requirements are not ours.
LOCK: Final = Path(__file__).parent.parent / "tests" / "peers" / "procrastinate.lock"
CONCURRENCY: Final = 100
SECONDS_MAX: Final = 600
LOOK_SECONDS: Final = 0.1
# Its own command would log two lines a job; so it does nothing but the work.
APP: Final = """
import os
import procrastinate

to = {"conninfo": os.environ["RIVAL_DATABASE"]}
app = procrastinate.App(connector=procrastinate.PsycopgConnector(**to))

@app.task(name="nothing")
async def nothing(number):
    pass

def main(verb, number):
    if verb == "work":
        return app.run_worker(concurrency=number)
    with app.replace_connector(procrastinate.SyncPsycopgConnector(**to)) as own, own.open():
        if verb == "found":
            own.schema_manager.apply_schema()
        else:
            own.configure_task("nothing").batch_defer(*({"number": one} for one in range(number)))
"""


def version() -> str:
    """Which one is measured."""
    lines = [line for line in LOCK.read_text().splitlines() if line.startswith("procrastinate==")]
    return lines[0].split()[0].partition("==")[2]


def jobs_per_second(postgresql: Postgresql, jobs: int, workers: int) -> float:
    """Defer so many jobs in one batch to so many workers that wait for them, until all are done."""
    url = postgresql.create_database()
    with folder() as home:
        (home / "app.py").write_text(APP)
        _run(home, url, "found", 0)
        with _working(home, url, workers), psycopg.connect(url, autocommit=True) as looking:
            started = time.monotonic()
            _run(home, url, "defer", jobs)
            while _done(looking) < jobs:
                assert time.monotonic() - started < SECONDS_MAX, "it takes too long"
                time.sleep(LOOK_SECONDS)
            seconds = time.monotonic() - started
    postgresql.drop_database(url)
    return jobs / seconds


@contextmanager
def _working(home: Path, url: str, workers: int) -> Iterator[None]:
    command = _command("work", CONCURRENCY)
    with ExitStack() as stack:
        for _ in range(workers):
            stack.enter_context(process(command, pinned=False, own=_variables(home, url)))
        yield


def _done(looking: psycopg.Connection[tuple[int]]) -> int:
    row = looking.execute("SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'").fetchone()
    return 0 if row is None else row[0]


def _run(home: Path, url: str, verb: str, number: int) -> None:
    subprocess.run(_command(verb, number), check=True, env=os.environ | _variables(home, url))


def _command(verb: str, number: int) -> list[str]:
    return [str(environment_of(LOCK) / "bin" / "python"), "-c", f"import app; app.main({verb!r}, {number})"]


def _variables(home: Path, url: str) -> dict[str, str]:
    return {"RIVAL_DATABASE": url, "PYTHONPATH": str(home)}
