"""A service in this process, behind real HTTP, on a clock that tests move: nothing happens in it but what they send.

Its engine and its worker stand still, so what is in the database before and after a request is what the request did.
"""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import uvicorn

from builders import NOW, Clock, a_subtask, an_execution, eventually
from fleetcron.assembly.house import House
from fleetcron.assembly.protocol import BoundedHead
from fleetcron.assembly.settings import Settings
from fleetcron.control import tokens
from fleetcron.domain.access import Scope
from fleetcron.store import access, executions, subtasks, tasks
from fleetcron.wire.signature import Request, sign

ACCOUNT = "default"
NORTH = "0123456789abcdef0123456789abcdef"
PASSWORD = "correct horse"
ACCESS_KEY, SECRET_KEY = "AKADMIN", "SKADMIN"
TOKEN, SUBJECT, SECURITY = "X-Auth-Token", "X-Subject-Token", "X-Security-Token"

CONFIG = 'regions = ["north", "south"]\n'
FLEET = """
[[endpoints]]
name = "lab"
driver = "simulated"
[[groups]]
id = "lab"
name = "Lab"
[[servers]]
count = 5
id = "s-{n}"
group = "lab"
endpoint = "lab"
"""
BODY: Final[Mapping[str, Any]] = {
    "task_name": "nightly",
    "task_type": "RESTART_SERVER",
    "scheduled_type": "DAY",
    "day_interval": 1,
    "scheduled_time": "03:00:00",
    "target_infos": [{"target_type": "SERVER", "target_id": "s-1"}],
}
Rows = dict[str, list[tuple[Any, ...]]]


@dataclass(frozen=True, kw_only=True)
class Person:
    """A user with a password, PASSWORD, and an access key."""

    name: str
    user_id: str
    access_key: str
    secret_key: str


class Premises:
    """The service at its address, its administrator's client, and what tests need of people and tasks."""

    def __init__(self, house: House, client: httpx.Client, clock: Clock) -> None:
        self.house = house
        self.client = client
        self.url = str(client.base_url).rstrip("/")
        self.clock = clock
        self._numbers = itertools.count(1)
        self.root = {TOKEN: self.sign_in("admin")}
        self.projects = {one["name"]: one["id"] for one in self.as_root("GET", "/v3/projects")["projects"]}

    def as_root(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401  (any JSON)
        """What the administrator is answered, who is not refused."""
        answer = self.client.request(method, path, json=body, headers=self.root).raise_for_status()
        return answer.json() if answer.content else None

    def sign_in(self, name: str, password: str = PASSWORD, **scope: object) -> str:
        """A token by password."""
        user = {"name": name, "password": password, "domain": {"name": ACCOUNT}}
        identity = {"methods": ["password"], "password": {"user": user}}
        auth = {"identity": identity, **({"scope": scope} if scope else {})}
        answer = self.client.post("/v3/auth/tokens", json={"auth": auth})
        return str(answer.raise_for_status().headers[SUBJECT])

    def person(self, name: str, *policies: str) -> Person:
        """A new user to whom these policies are attached."""
        user = self.as_root("POST", "/v3/users", {"user": {"name": name, "password": PASSWORD}})["user"]
        credential = {"credential": {"user_id": user["id"]}}
        key = self.as_root("POST", "/v3.0/OS-CREDENTIAL/credentials", credential)["credential"]
        for policy in policies:
            self.attach(user["id"], policy)
        return Person(name=name, user_id=user["id"], access_key=key["access"], secret_key=key["secret"])

    def policy(self, *statements: Mapping[str, object]) -> str:
        """A new policy's id."""
        document = {"Version": "5.0", "Statement": list(statements)}
        role = {"display_name": f"own-{next(self._numbers)}", "type": "XA", "description": "d", "policy": document}
        return str(self.as_root("POST", "/v3.0/OS-ROLE/roles", {"role": role})["role"]["id"])

    def attach(self, user_id: str, policy: str) -> None:
        """Let a policy count for a user in the whole account."""
        self.as_root("PUT", f"/v3/domains/{ACCOUNT}/users/{user_id}/roles/{policy}")

    def token(self, name: str, scope: Scope | None = None, *, age: timedelta = timedelta()) -> str:
        """A token that the user was given so long ago."""
        with self.house.database.transaction() as tx:
            account = access.find_account(tx, ACCOUNT)
            (user,) = access.list_users(tx, ACCOUNT, name=name)
            assert account is not None
            return tokens.issue(tx, user, account, scope, self.clock() - age)[0]

    def task(self) -> str:
        """A new task that has fired once; its execution is called after it, with ``-1``."""
        task_id = str(self.as_root("POST", f"/v1/{NORTH}/schedule-task", BODY)["id"])
        execution_id = f"{task_id}-1"
        with self.house.database.transaction() as tx:
            task = tasks.find(tx, NORTH, task_id)
            assert task is not None
            executions.insert(tx, [an_execution(execution_id, task_id=task_id, project_id=NORTH, fire_at=NOW)])
            subtasks.insert(tx, [a_subtask(1, execution_id, server_id="s-1", endpoint="lab")])
            tasks.advance(tx, [(task, 1, task.next_fire_at)])
        return task_id

    def rows(self) -> Rows:
        """All that has been planned and done."""
        with self.house.database.snapshot() as tx:
            return {
                table: [tuple(row) for row in tx.execute(f"SELECT * FROM {table} ORDER BY 1, 2")]  # noqa: S608
                for table in ("tasks", "executions", "subtasks")
            }

    def signed(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        access_key: str = ACCESS_KEY,
        secret: str = SECRET_KEY,
        age: timedelta = timedelta(),
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """The headers of a signed request; ``headers`` are signed as well, and among what is returned."""
        url = httpx.URL(self.url + path)
        raw_path, _, query = url.raw_path.partition(b"?")
        lowered = {"host": url.netloc.decode(), **{name.lower(): value for name, value in (headers or {}).items()}}
        request = Request(
            method=method,
            path=raw_path,
            query=query,
            headers=[(name.encode(), value.encode("latin-1")) for name, value in lowered.items()],
            body=body,
        )
        signature = sign(request, access_key=access_key, secret=secret, now=self.clock() - age)
        return {name: value for name, value in lowered.items() if name != "host"} | signature

    def signed_by(self, person: Person, method: str, path: str, body: bytes = b"") -> dict[str, str]:
        """The same, signed by a person."""
        return self.signed(method, path, body, access_key=person.access_key, secret=person.secret_key)


@contextmanager
def premises(folder: Path, clock: Clock) -> Iterator[Premises]:
    """Run a service with the projects north and south and five servers in the north."""
    (folder / "config.toml").write_text(CONFIG)
    (folder / "fleet.toml").write_text(FLEET)
    settings = Settings(
        data_dir=folder / "data",
        config=folder / "config.toml",
        fleet=folder / "fleet.toml",
        admin_password=PASSWORD,
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
        project_id=NORTH,
    )
    house = House(settings, clock=clock)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            house.app, http=BoundedHead, lifespan="off", ws="none", log_config=None, proxy_headers=False
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            eventually(lambda: server.started)
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            with httpx.Client(base_url=url, trust_env=False) as client:
                yield Premises(house, client, clock)
        finally:
            server.should_exit = True
            thread.join()
            house.database.close()
