"""What people ask for while everything breaks: operations at once and tasks that are due in a moment, over HTTP.

A request that is answered with success is *accepted*: its execution must be there in the end. One whose answer never
came, or that was answered with an error of the server's, is *unsure*: it may have been done or not.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx

from chaos.world import GROUP_SERVERS, GROUPS, PASSWORD, PROJECT, STUCK_SERVERS

ANSWER_SECONDS_MAX = 3.0
FINDING_SECONDS_MAX = 60.0
BETWEEN_TRIES_SECONDS = 0.2
SOFTLY: Final = ("batch-reboot", "batch-stop")
ACTIONS: Final = ("batch-reboot",) * 14 + ("batch-stop", "batch-start", "batch-start", "batch-reinstall")


@dataclass(kw_only=True)
class Asked:
    """Everything that was asked for: the tasks by their ids, and operations at once by the servers that each named."""

    tasks: list[str] = field(default_factory=list)
    at_once: list[frozenset[str]] = field(default_factory=list)
    unsure_tasks: list[str] = field(default_factory=list)
    unsure_at_once: list[frozenset[str]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


class Client:
    """Asks one API, and the other where that one does not answer; for one thread alone."""

    def __init__(self, urls: Sequence[str], rng: random.Random) -> None:
        self._urls = list(urls)
        self._rng = rng
        self._http = httpx.Client(timeout=ANSWER_SECONDS_MAX, trust_env=False)
        self._token: str | None = None

    def ask(self, method: str, path: str, body: object = None) -> tuple[httpx.Response, int]:
        """The first answer that is not an error of the server's, and how many tries before it may have done it.

        Raises:
            AssertionError: no API has answered for too long.
        """
        if self._token is None:
            self._token = self._sign_in()
        answer, unsure = self._try(method, f"/v1/{PROJECT}{path}", body, {"X-Auth-Token": self._token})
        return answer, unsure

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def _sign_in(self) -> str:
        user = {"name": "admin", "password": PASSWORD, "domain": {"name": "default"}}
        auth = {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": {"id": PROJECT}},
        }
        answer, _ = self._try("POST", "/v3/auth/tokens", {"auth": auth}, {})
        return str(answer.raise_for_status().headers["X-Subject-Token"])

    def _try(self, method: str, path: str, body: object, headers: dict[str, str]) -> tuple[httpx.Response, int]:
        self._rng.shuffle(self._urls)
        unsure = 0
        give_up_at = time.monotonic() + FINDING_SECONDS_MAX
        while time.monotonic() < give_up_at:
            for url in self._urls:
                try:
                    answer = self._http.request(method, url + path, json=body, headers=headers)
                except (httpx.ConnectError, httpx.ConnectTimeout):
                    continue
                except httpx.TransportError:
                    unsure += 1
                    continue
                if not answer.is_server_error:
                    return answer, unsure
                unsure += 1
            time.sleep(BETWEEN_TRIES_SECONDS)
        raise AssertionError(f"no API answers {method} {path}")


class Load(threading.Thread):
    """One person who asks again and again, with a pause of ``pause_seconds`` between."""

    def __init__(self, urls: Sequence[str], *, seed: str, pause_seconds: float, asked: Asked) -> None:
        super().__init__(name=f"load-{seed}", daemon=True)
        self.error: BaseException | None = None
        self._rng = random.Random(seed)  # noqa: S311  (to be repeated)
        self._client = Client(urls, self._rng)
        self._pause_seconds = pause_seconds
        self._asked = asked
        self._over = threading.Event()

    def run(self) -> None:
        """Ask until stopped."""
        number = 0
        try:
            while not self._over.wait(self._rng.uniform(0.5, 1.5) * self._pause_seconds):
                number += 1
                if self._rng.random() < 0.5:
                    self._operate()
                else:
                    self._schedule(f"{self.name}-{number}")
        except BaseException as error:  # noqa: BLE001  (whoever waits for this thread raises it again)
            self.error = error
        finally:
            self._client.close()

    def stop(self) -> None:
        """Ask no more, and wait for what is being asked.

        Raises:
            BaseException: what ended it before.
        """
        self._over.set()
        self.join()
        if self.error is not None:
            raise self.error

    def _operate(self) -> None:
        action = self._rng.choice(ACTIONS)
        servers = self._servers(self._rng.randint(10, 20))
        method, key = ("POST", "server_ids") if action == "batch-reinstall" else ("PATCH", "items")
        body: dict[str, Any] = {key: servers}
        if action in SOFTLY:
            body["type"] = "SOFT"
        answer, unsure = self._client.ask(method, f"/app-servers/actions/{action}", body)
        self._asked.unsure_at_once += [frozenset(servers)] * unsure
        if answer.is_success:
            self._asked.at_once.append(frozenset(servers))
        else:
            self._asked.refused.append(answer.text)

    def _schedule(self, name: str) -> None:
        fire_at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=self._rng.randint(3, 6))
        if self._rng.random() < 0.5:
            targets = [("SERVER_GROUP", f"g{self._rng.randint(1, GROUPS)}")]
        else:
            targets = [("SERVER", server) for server in self._servers(self._rng.randint(10, 25))]
        body = {
            "task_name": name,
            "task_type": "RESTART_SERVER",
            "scheduled_type": "FIXED_TIME",
            "scheduled_date": fire_at.date().isoformat(),
            "scheduled_time": fire_at.time().isoformat(),
            "time_zone": "UTC",
            "target_infos": [{"target_type": kind, "target_id": key} for kind, key in targets],
        }
        answer, unsure = self._client.ask("POST", "/schedule-task", body)
        self._asked.unsure_tasks += [name] * unsure
        if answer.is_success:
            self._asked.tasks.append(str(answer.json()["id"]))
        else:
            # While both APIs were away the fire time passed.
            self._asked.refused.append(answer.text)

    def _servers(self, count: int) -> list[str]:
        lab = [f"g{group}-{number:02}" for group in range(1, GROUPS + 1) for number in range(1, GROUP_SERVERS + 1)]
        chosen = self._rng.sample(lab, count)
        if self._rng.random() < 0.03:
            chosen[0] = f"stuck-{self._rng.randint(1, STUCK_SERVERS)}"
        return chosen
