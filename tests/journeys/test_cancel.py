"""An execution that is cancelled halfway: what a server was told runs to its end, and no other server hears of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from builders import eventually
from fleetcron.drivers.journal import Fact
from running import Running, running

FLEET = """
[[endpoints]]
name = "lab"
driver = "simulated"
concurrency_max = 1
settings = {boot_seconds = [4, 4], stop_seconds = [0, 0]}
[[groups]]
id = "lab"
name = "Lab"
[[servers]]
count = 4
id = "lab-{n}"
group = "lab"
endpoint = "lab"
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    """A service that restarts one of its four servers at a time, and slowly."""
    with running(tmp_path, fleet=FLEET) as service:
        yield service


@pytest.fixture
def client(service: Running) -> Iterator[httpx.Client]:
    headers = {"X-Auth-Token": service.token()}
    with httpx.Client(base_url=service.project_url, headers=headers, trust_env=False) as client:
        yield client


def fire(client: httpx.Client) -> str:
    """Make a task that restarts all four in a moment; its id."""
    at = datetime.now(UTC) + timedelta(seconds=2)
    body = {
        "task_name": "restart-all",
        "task_type": "RESTART_SERVER",
        "scheduled_type": "FIXED_TIME",
        "scheduled_date": f"{at:%Y-%m-%d}",
        "scheduled_time": f"{at:%H:%M:%S}",
        "time_zone": "UTC",
        "target_infos": [{"target_type": "SERVER_GROUP", "target_id": "lab"}],
    }
    return str(client.post("/schedule-task", json=body).raise_for_status().json()["id"])


def execution(client: httpx.Client, task_id: str) -> dict[str, Any]:
    """The row of the task's only execution, empty before there is one."""
    items = client.get(f"/schedule-task/{task_id}/execute-history").raise_for_status().json()["items"]
    return dict(items[0]) if items else {}


def told(folder: Path) -> set[str]:
    """The servers that were told anything, as the simulated world remembers it."""
    lines = (folder / "data" / "simulated-lab.jsonl").read_bytes().splitlines()
    return {fact.handle for fact in (msgspec.json.decode(line, type=Fact) for line in lines) if fact.verb == "submit"}


def test_what_has_begun_runs_to_its_end_and_nothing_is_sent_to_the_others(
    service: Running, client: httpx.Client, tmp_path: Path
) -> None:
    task_id = fire(client)
    running = eventually(lambda: (one := execution(client, task_id)) and one["excuting_count"] and one)
    cancel = f"/schedule-task/{task_id}/execute-history/{running['id']}/cancel"
    answer = client.post(cancel)
    assert (answer.status_code, answer.content) == (200, b"")

    over = eventually(lambda: (one := execution(client, task_id)) and one["end_time"] and one)
    assert over["status"] == "FAILED"
    assert (over["total_count"], over["success_count"], over["failed_count"]) == (4, 1, 3)
    details = client.get(f"/schedule-task/{running['id']}/execute-detail").raise_for_status().json()["items"]
    done = [one for one in details if one["status"] == "SUCCESS"]
    cancelled = [one for one in details if one["result_code"] == "FC.CANCELLED"]
    assert (len(done), len(cancelled)) == (1, 3)
    assert all(one["begin_time"] is None and one["end_time"] < done[0]["end_time"] for one in cancelled)
    assert {one["result_message"] for one in cancelled} == {"The execution was cancelled before it began."}
    assert told(tmp_path) == {done[0]["server_id"]}

    assert client.post(cancel).status_code == 200
    log = client.get(f"{service.url}/v3/audit-records", params={"operation": "CancelTaskExecution"})
    assert [(one["status"], one["decision"]) for one in log.json()["records"]] == [(200, "allowed")] * 2
