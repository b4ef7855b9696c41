"""A real Keystone vouches for callers: what they may follows from their roles there, and ends with their tokens."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import pytest

from builders import eventually
from fleetcron.cli.sign_in import KeyPair
from peers.keystone import Keystone, asleep
from running import Running, running

PASSWORD = "a password at the Keystone"
REVOCATION_SECONDS_MAX = 2.0
ANSWER_SECONDS_MAX = 2.0


@dataclass(frozen=True, kw_only=True)
class Site:
    """A service and the Keystone that it asks."""

    service: Running
    keystone: Keystone

    def member(self, name: str, role: str, project_id: str | None = None) -> str:
        """A token of a new user of the Keystone with this role in the project."""
        project_id = project_id or self.service.project_id
        self.keystone.assign(self.keystone.create_user(name, PASSWORD), project_id, role)
        return self.keystone.issue(name, PASSWORD, project_id)

    def ask(self, token: str, method: str = "GET", path: str = "/schedule-task", body: object = None) -> httpx.Response:
        """Call an operation of the project."""
        return httpx.request(
            method,
            f"{self.service.project_url}{path}",
            json=body,
            headers={"X-Auth-Token": token},
            timeout=30,
            trust_env=False,
        )


@pytest.fixture(scope="module")
def site(keystone: Keystone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A service with ``identity = keystone``; its project is one of the Keystone's."""
    folder = tmp_path_factory.mktemp("external")
    own_project = keystone.create_project("own-journeys")
    keystone.assign(keystone.create_user("own-journeys", "own password"), own_project, "service")
    (folder / "password").write_text("own password\n")
    (folder / "config.toml").write_text(f"""
[identity]
kind = "keystone"
url = "{keystone.url}"
user = "own-journeys"
password_file = "{folder / "password"}"
project = "own-journeys"
answer_seconds_max = {ANSWER_SECONDS_MAX}
roles = {{ admin = "Workspace FullAccess", reader = "Workspace ReadOnlyAccess" }}
""")
    project = {"FLEETCRON_PROJECT_ID": keystone.create_project("journeys")}
    with running(folder, environment=project, arguments=["--config", str(folder / "config.toml")]) as service:
        yield Site(service=service, keystone=keystone)


def signing(service: Running) -> httpx.Client:
    """A client that signs with our own access key."""
    return httpx.Client(trust_env=False, timeout=30, auth=KeyPair(service.access_key, service.secret_key))


NEW_TASK = {
    "task_type": "RESTART_SERVER",
    "task_name": "by-a-visitor",
    "scheduled_type": "DAY",
    "day_interval": 1,
    "scheduled_time": "03:00:00",
    "target_infos": [{"target_type": "SERVER", "target_id": "lab-1"}],
}


def test_a_token_of_the_keystone_lists_history(site: Site) -> None:
    admin, reader = site.member("admin-e", "admin"), site.member("reader-e", "reader")
    task_id = site.ask(admin, "POST", body=NEW_TASK).raise_for_status().json()["id"]
    answer = site.ask(reader, path=f"/schedule-task/{task_id}/execute-history")
    assert (answer.status_code, answer.json()["count"]) == (200, 0)


def test_what_a_role_does_not_stand_for_is_refused(site: Site) -> None:
    reader = site.member("reader-f", "reader")
    assert site.ask(reader).status_code == 200
    assert site.ask(reader, "POST", body=NEW_TASK).status_code == 403


def test_a_role_that_stands_for_nothing_is_refused(site: Site) -> None:
    assert site.ask(site.member("service-e", "service")).status_code == 403


def test_a_token_for_another_project_is_refused(site: Site) -> None:
    elsewhere = site.member("elsewhere-e", "admin", site.keystone.create_project("elsewhere"))
    assert site.ask(elsewhere).status_code == 403


def test_a_revoked_token_is_refused_within_the_time_that_it_is_remembered(site: Site) -> None:
    token = site.member("revoked-e", "reader")
    assert site.ask(token).status_code == 200
    site.keystone.revoke(token)
    eventually(lambda: site.ask(token).status_code == 401, seconds=REVOCATION_SECONDS_MAX)


def test_what_is_no_token_is_refused(site: Site) -> None:
    assert site.ask("nonsense").status_code == 401


def test_tokens_are_the_keystones_alone_and_keys_still_our_own(site: Site) -> None:
    assert site.ask(site.service.token()).status_code == 401
    with signing(site.service) as client:
        assert client.get(f"{site.service.project_url}/schedule-task").status_code == 200


def test_while_the_keystone_hangs_its_callers_hear_so_and_others_are_not_kept_waiting(site: Site) -> None:
    visitor = site.member("hanging-e", "reader")
    with asleep(site.keystone), ThreadPoolExecutor(8) as people, signing(site.service) as client:
        waiting = [people.submit(site.ask, f"{visitor}{number}") for number in range(7)] + [
            people.submit(site.ask, visitor)
        ]
        answer = client.get(f"{site.service.project_url}/schedule-task")
        assert not any(one.done() for one in waiting)
        assert answer.status_code == 200
        assert {one.result().status_code for one in waiting} == {503}
    eventually(lambda: site.ask(visitor).status_code == 200, seconds=10)
