"""The whole service: put together, started, stopped, and started again where it stood."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from builders import a_rule, a_target, eventually
from fleetcron.assembly.clock import now
from fleetcron.assembly.house import House, serve
from fleetcron.assembly.settings import Settings
from fleetcron.domain.execution import Evidence, Execution, Status, Subtask
from fleetcron.domain.schedule import Cycle
from fleetcron.domain.task import Draft, Target, TargetKind, TaskType, create
from fleetcron.errors import BadSettings
from fleetcron.store import executions, fleet, subtasks, tasks

FLEET = """
[[endpoints]]
name = "lab"
driver = "simulated"

[endpoints.settings]
boot_seconds = [0, 0.1]
stop_seconds = [0, 0.1]

[[groups]]
id = "all"
name = "All"

[[servers]]
count = 3
id = "s{n}"
group = "all"
endpoint = "lab"
"""
ALL = a_target("all", TargetKind.SERVER_GROUP)

SERVE = """
import sys
from pathlib import Path
from fleetcron.assembly.house import serve
from fleetcron.assembly.settings import Settings
serve(Settings(data_dir=Path(sys.argv[1]), port=0), lambda welcome: print(welcome.url, flush=True))
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a service with three quick servers."""
    fleet_file = tmp_path / "fleet.toml"
    fleet_file.write_text(FLEET)
    return Settings(data_dir=tmp_path / "data", fleet=fleet_file, project_id="p1")


@contextmanager
def running(settings: Settings) -> Iterator[House]:
    """A service whose clock and worker run."""
    service = House(settings, clock=now)
    service.start()
    try:
        yield service
    finally:
        service.stop()


def add_task(service: House, task_type: TaskType, *targets: Target, task_id: str = "t1") -> None:
    """A task that has come due just now."""
    fire_at = now().replace(microsecond=0) - timedelta(seconds=1)
    rule = a_rule(Cycle.ONCE, on_date=fire_at.date(), at=fire_at.time())
    draft = Draft(name=task_id, task_type=task_type, rule=rule, targets=targets)
    task = create(draft, task_id=task_id, project_id="p1", now=fire_at - timedelta(seconds=1))
    with service.database.transaction() as tx:
        tasks.insert(tx, task)


def history(service: House, task_id: str = "t1") -> list[bytes | Execution]:
    with service.database.snapshot() as tx:
        return executions.stretch(tx, task_id, 1, 1)


def shares(service: House) -> list[Subtask]:
    with service.database.snapshot() as tx:
        (execution_id,) = tx.execute("SELECT execution_id FROM executions").fetchone()
        return subtasks.page(tx, execution_id, offset=0, limit=100)


def over(service: House) -> list[Subtask]:
    """The subtasks once the only execution is sealed; nothing before."""
    return shares(service) if any(isinstance(one, bytes) for one in history(service)) else []


def test_a_due_task_is_carried_out_to_its_end(settings: Settings) -> None:
    with running(settings) as service:
        add_task(service, TaskType.RESTART_SERVER, ALL)
        ended = eventually(lambda: over(service))
    assert [(share.server_id, share.status) for share in ended] == [(f"s{n}", Status.SUCCESS) for n in (1, 2, 3)]
    assert {share.evidence for share in ended} == {Evidence.BOOT_MARKER_CHANGED}


def test_a_running_server_is_stopped_and_reinstalled(settings: Settings) -> None:
    assert settings.fleet is not None
    settings.fleet.write_text(FLEET.replace("boot_seconds", "reinstall_seconds = [0, 0.1]\nboot_seconds"))
    with running(settings) as service:
        add_task(service, TaskType.REINSTALL_OS, a_target("s1"))
        (ended,) = eventually(lambda: over(service))
    assert (ended.status, ended.result_message) == (Status.SUCCESS, None)


def test_what_is_recorded_while_it_is_stopped_waits_for_the_next_start(settings: Settings) -> None:
    idle = House(settings, clock=now)
    add_task(idle, TaskType.STOP_SERVER, a_target("s2"))
    idle.start()
    idle.stop()
    with running(settings) as service:
        (ended,) = eventually(lambda: over(service))
    assert (ended.server_id, ended.status) == ("s2", Status.SUCCESS)


def test_a_folder_in_use_is_refused_and_free_again_after_the_stop(settings: Settings) -> None:
    with running(settings), pytest.raises(BadSettings, match="in use"):
        House(settings, clock=now)
    with running(settings):
        pass


@pytest.mark.parametrize(
    "text", [FLEET.replace("simulated", "unheard-of"), FLEET.replace("boot_seconds", "boot_secs"), "[[servers]"]
)
def test_a_fleet_that_cannot_be_meant_is_refused_and_the_folder_let_go(settings: Settings, text: str) -> None:
    assert settings.fleet is not None
    settings.fleet.write_text(text)
    with pytest.raises(BadSettings):
        House(settings, clock=now)
    settings.fleet.write_text(FLEET)
    with running(settings):
        pass


def test_the_fleet_is_what_the_file_says_at_every_start(settings: Settings) -> None:
    assert settings.fleet is not None
    with running(settings):
        pass
    settings.fleet.write_text(FLEET.replace("count = 3", "count = 2"))
    with running(settings) as service, service.database.snapshot() as tx:
        assert fleet.size(tx, "p1", "all") == 2


def test_the_fleet_belongs_to_the_first_region_also_when_another_becomes_the_first(
    settings: Settings, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    settings = Settings(data_dir=settings.data_dir, fleet=settings.fleet, config=config)
    for regions in ('["north"]', '["south", "north"]', '["east"]'):
        config.write_text(f"regions = {regions}")
        with running(settings) as service, service.database.snapshot() as tx:
            sizes = [fleet.size(tx, project.project_id, "all") for project in service.established.projects]
            assert sizes == [3] if len(sizes) == 1 else sizes == [3, 0]


def test_a_first_start_that_fails_leaves_the_secrets_to_the_next(settings: Settings, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('[[endpoints]]\nname = "e"\ndriver = "command"\n')
    with pytest.raises(BadSettings):
        House(Settings(data_dir=settings.data_dir, fleet=wrong), clock=now)
    with running(Settings(data_dir=settings.data_dir)) as service:
        assert service.established.admin_password is not None
        assert service.established.secret_key is not None


def test_a_service_without_a_fleet_answers_and_ends_what_it_cannot_reach(settings: Settings) -> None:
    with running(Settings(data_dir=settings.data_dir, project_id="p1")) as service:
        add_task(service, TaskType.STOP_SERVER, a_target("s1"))
        (ended,) = eventually(lambda: over(service))
    assert ended.status is Status.FAILED


def test_health_tells_of_each_part_without_signing_in(settings: Settings) -> None:
    with running(settings) as service:
        assert health_of(service, "live") == (200, {"engine": "ok", "worker": "ok"})
        eventually(lambda: health_of(service, "ready")[0] == 200)
        service.stay.leave()
        status, parts = health_of(service, "ready")
    assert (status, parts) == (503, {"database": "ok", "engine": "ok", "worker": "ok", "process": "is ending"})
    assert health_of(service, "live") == (503, {"engine": "has ended", "worker": "has ended"})


def health_of(service: House, which: str) -> tuple[int, object]:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(service.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://house") as client:
            return await client.get(f"/health/{which}")

    asking: Coroutine[Any, Any, httpx.Response] = ask()
    answer = asyncio.run(asking)
    return answer.status_code, answer.json()["parts"]


@contextmanager
def serving(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The service as a process, and the address at which it answers."""
    with subprocess.Popen([sys.executable, "-c", SERVE, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            readable, _, _ = select.select([process.stdout], [], [], 30)
            assert readable, "it does not come up"
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_answers_once_it_says_so_and_ends_when_asked(tmp_path: Path, how: signal.Signals) -> None:
    with serving(tmp_path) as (process, url):
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=5):
            pass
        os.kill(process.pid, how)
        assert process.wait(20) == 0
    with serving(tmp_path):
        pass


def test_an_address_that_is_taken_is_refused(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = Settings(data_dir=settings.data_dir, port=taken.getsockname()[1])
        with pytest.raises(BadSettings, match="cannot listen"):
            serve(address, lambda _: None)
