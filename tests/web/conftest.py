"""A service behind a real HTTP server in this process, and clients that ask it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import uvicorn

from builders import NOW, a_subtask, an_execution, eventually
from fleetcron.assembly.clock import now
from fleetcron.assembly.house import House
from fleetcron.assembly.settings import Settings
from fleetcron.control.access import Access
from fleetcron.domain.execution import Execution, Status
from fleetcron.store import executions, subtasks, tasks
from fleetcron.wire.executions import record_of

PROJECT = "0123456789abcdef0123456789abcdef"
PASSWORD = "correct horse"
TOKEN = "X-Auth-Token"
BODY: Final[dict[str, Any]] = {
    "task_name": "nightly",
    "task_type": "RESTART_SERVER",
    "scheduled_type": "DAY",
    "day_interval": 1,
    "scheduled_time": "03:00:00",
    "target_infos": [{"target_type": "SERVER_GROUP", "target_id": "lab"}],
}
CONFIG = 'regions = ["north", "south"]\n'
FLEET = """
[[endpoints]]
name = "lab"
driver = "simulated"
settings = {boot_seconds = [0, 0], stop_seconds = [0, 0], reinstall_seconds = [0, 0], volatile = true}
[[groups]]
id = "lab"
name = "Lab"
[[servers]]
count = 60
id = "s-{n:02}"
group = "lab"
endpoint = "lab"
"""


def a_service(folder: Path) -> House:
    (folder / "config.toml").write_text(CONFIG)
    (folder / "fleet.toml").write_text(FLEET)
    settings = Settings(
        data_dir=folder / "data",
        config=folder / "config.toml",
        fleet=folder / "fleet.toml",
        admin_password=PASSWORD,
        access_key="AKADMIN",
        secret_key="SKADMIN",
        project_id=PROJECT,
    )
    return House(settings, clock=now)


def sign_in(service: House) -> str:
    return Access(service.database).sign_in("admin", "default", PASSWORD, None, now())[0]


@contextmanager
def answering(service: House) -> Iterator[str]:
    """Run the service and an HTTP server in front of it; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(service.app, lifespan="off", ws="none", log_config=None, server_header=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        service.start()
        thread.start()
        try:
            eventually(lambda: server.started)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
            service.stop()


@pytest.fixture(scope="session")
def project_id() -> str:
    return PROJECT


@pytest.fixture(scope="session")
def password() -> str:
    return PASSWORD


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> House:
    """One for the whole room: its tests look at nothing but what they made themselves."""
    return a_service(tmp_path_factory.mktemp("web"))


@pytest.fixture(scope="session")
def address(service: House) -> Iterator[str]:
    with answering(service) as url:
        yield url


@pytest.fixture(scope="session")
def token(service: House) -> str:
    """The administrator's, for the whole account."""
    return sign_in(service)


@pytest.fixture
def root(address: str, token: str) -> Iterator[httpx.Client]:
    """A client at the service's root, signed in."""
    with httpx.Client(base_url=address, headers={TOKEN: token}) as client:
        yield client


@pytest.fixture
def web(address: str, token: str) -> Iterator[httpx.Client]:
    """A client at the project, signed in."""
    with httpx.Client(base_url=f"{address}/v1/{PROJECT}", headers={TOKEN: token}) as client:
        yield client


@pytest.fixture
def stranger(address: str) -> Iterator[httpx.Client]:
    """A client at the project that says nothing about who asks."""
    with httpx.Client(base_url=f"{address}/v1/{PROJECT}") as client:
        yield client


@pytest.fixture
def own(tmp_path: Path) -> Iterator[tuple[House, httpx.Client]]:
    """A service to be broken, and a client at its project, signed in."""
    service = a_service(tmp_path)
    headers = {TOKEN: sign_in(service)}
    with answering(service) as url, httpx.Client(base_url=f"{url}/v1/{PROJECT}", headers=headers) as client:
        yield service, client


@pytest.fixture
def create(web: httpx.Client) -> Callable[..., str]:
    """Creates a task, different from the usual one in what is said, and returns its id."""

    def create(**said: object) -> str:
        answer = web.post("/schedule-task", json=BODY | said)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    return create


@pytest.fixture
def fired(service: House, create: Callable[..., str]) -> Callable[[int], str]:
    """Creates a task that has fired so many times, and returns its id; every second execution is over."""

    def fired(count: int) -> str:
        task_id = create()
        with service.database.transaction() as tx:
            task = tasks.find(tx, PROJECT, task_id)
            assert task is not None
            made = [an_execution_of(task_id, ordinal) for ordinal in range(1, count + 1)]
            executions.insert(tx, made)
            # A live subtask would be carried out by the engine; only those of finished executions are told.
            over = [one for one in made if one.ended_at is not None]
            ended = [
                a_subtask(1, one.execution_id, status=Status.SUCCESS, dispatched_at=NOW, ended_at=NOW) for one in over
            ]
            subtasks.insert(tx, ended)
            executions.seal(tx, [(one, record_of(one)) for one in over])
            tasks.advance(tx, [(task, count, task.next_fire_at)])
        return task_id

    return fired


def an_execution_of(task_id: str, ordinal: int) -> Execution:
    at = NOW + timedelta(minutes=ordinal)
    over = ordinal % 2 == 0
    return an_execution(
        f"{task_id}-{ordinal}",
        task_id=task_id,
        project_id=PROJECT,
        ordinal=ordinal,
        fire_at=at,
        status=Status.SUCCESS if over else Status.RUNNING,
        succeeded=int(over),
        running=int(not over),
        began_at=at,
        ended_at=at + timedelta(seconds=30) if over else None,
        created_at=at,
    )
