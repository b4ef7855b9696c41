"""A scheduled restart really restarts real processes, and the history can prove it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkworkspaceapp.v1 import (
    CreateScheduleTaskRequest,
    ListTaskExecuteHistoryRequest,
    TargetInfo,
    UpdateScheduleTaskReq,
    WorkspaceAppClient,
)

from builders import eventually
from running import Running, running

SERVERS = ("web", "db", "cache")

# Keeps one process alive and says in a file which one it is: the pid, and when it was started.
KEEP = 'while :; do sleep 600 & echo "$! $(date +%s%N)" > "$1.new"; mv "$1.new" "$1"; wait $!; done'
OBSERVE = """read pid start < "$1"; if kill -0 "$pid" 2>&-; then echo power=on; else echo power=off; fi
echo "boot_marker=$pid $start" """
RESTART = 'read pid start < "$1" && kill "$pid"'


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Path]:
    """Three processes that come back when they are killed; the folder with a file for each."""
    folder = tmp_path / "machines"
    folder.mkdir()
    keepers = [
        subprocess.Popen(["sh", "-c", KEEP, "sh", str(folder / name)], start_new_session=True) for name in SERVERS
    ]
    try:
        eventually(lambda: all((folder / name).exists() for name in SERVERS))
        yield folder
    finally:
        for keeper in keepers:
            os.killpg(keeper.pid, signal.SIGKILL)
            keeper.wait()


@pytest.fixture
def service(tmp_path: Path, machines: Path) -> Iterator[Running]:
    commands = {
        "observe": ["sh", "-c", OBSERVE, "sh", f"{machines}/{{handle}}"],
        "restart": ["sh", "-c", RESTART, "sh", f"{machines}/{{handle}}"],
    }
    said = "\n".join(f"{name} = {json.dumps(argv)}" for name, argv in commands.items())
    servers = "\n".join(f'[[servers]]\nid = "{name}"\nendpoint = "here"' for name in SERVERS)
    fleet = f"""
[[endpoints]]
name = "here"
driver = "command"
[endpoints.settings]
marks_boots = true
{said}
{servers}
"""
    with running(tmp_path, fleet=fleet) as service:
        yield service


def pids(folder: Path) -> set[int]:
    return {int((folder / name).read_text().split()[0]) for name in SERVERS}


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_scheduled_restart_restarts_and_proves_it(service: Running, machines: Path) -> None:
    before = pids(machines)
    at = datetime.now(UTC) + timedelta(seconds=3)
    credentials = BasicCredentials(service.access_key, service.secret_key, service.project_id)
    client: Any = WorkspaceAppClient.new_builder().with_credentials(credentials).with_endpoint(service.url).build()
    body = UpdateScheduleTaskReq(
        task_name="restart-all",
        task_type="RESTART_SERVER",
        scheduled_type="FIXED_TIME",
        scheduled_date=f"{at:%Y-%m-%d}",
        scheduled_time=f"{at:%H:%M:%S}",
        time_zone="UTC",
        target_infos=[TargetInfo(target_type="SERVER", target_id=name) for name in SERVERS],
    )
    task_id = client.create_schedule_task(CreateScheduleTaskRequest(body=body)).id

    def finished() -> Any:  # noqa: ANN401  (the SDK publishes no types)
        page = client.list_task_execute_history(ListTaskExecuteHistoryRequest(task_id))
        return page.items[0] if page.count and page.items[0].end_time else None

    execution = eventually(finished)
    assert execution.status == "SUCCESS"
    assert (execution.total_count, execution.success_count, execution.failed_count) == (3, 3, 0)

    after = pids(machines)
    assert before.isdisjoint(after)
    assert all(is_alive(pid) for pid in after)
    assert not any(is_alive(pid) for pid in before)

    details = httpx.get(
        f"{service.project_url}/schedule-task/{execution.id}/execute-detail",
        headers={"X-Auth-Token": service.token()},
        trust_env=False,
    ).json()
    assert details["count"] == 3
    assert {one["server_id"] for one in details["items"]} == set(SERVERS)
    for one in details["items"]:
        assert (one["status"], one["result_code"]) == ("SUCCESS", None)
        assert one["evidence"] == "boot_marker_changed"
        assert one["fire_time"] == f"{at:%Y-%m-%dT%H:%M:%S}.000Z"
        assert one["begin_time"] >= one["fire_time"]
