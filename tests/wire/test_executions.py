"""History on the wire: the vendor's thirteen fields in any state, and the details of subtasks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import NOW, a_subtask, after, an_execution
from fleetcron.domain.execution import Evidence, ResultCode, Status
from fleetcron.domain.schedule import Cycle
from fleetcron.domain.task import TaskType
from fleetcron.wire.executions import detail_page, history_page, record_of

# ListTaskExecuteHistory, in the order of the vendor's page; the ninth is misspelt there.
THIRTEEN = [
    "id",
    "task_id",
    "task_type",
    "status",
    "scheduled_type",
    "total_count",
    "success_count",
    "failed_count",
    "excuting_count",
    "time_zone",
    "begin_time",
    "end_time",
    "create_time",
]
DETAIL = ["id", "execute_id", "server_id", "server_name", "status", "task_type", "time_zone", "begin_time", "end_time",
          "result_code", "result_message"]  # fmt: skip
COUNTERS = [name for name in THIRTEEN if name.endswith("_count")]
instants = st.none() | st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def page(raw: bytes) -> dict[str, Any]:
    said: dict[str, Any] = msgspec.json.decode(raw)
    return said


def test_a_running_execution_is_said_as_the_vendor_says_it() -> None:
    execution = an_execution(
        status=Status.RUNNING, total=10, succeeded=5, failed=1, running=3, began_at=after(1), cycle=Cycle.ONCE
    )
    assert page(record_of(execution)) == {
        "id": "e1",
        "task_id": "t1",
        "task_type": "RESTART_SERVER",
        "status": "RUNNING",
        "scheduled_type": "FIXED_TIME",
        "total_count": 10,
        "success_count": 5,
        "failed_count": 1,
        "excuting_count": 3,
        "time_zone": "UTC",
        "begin_time": "2026-03-01T12:00:01.000Z",
        "end_time": None,
        "create_time": "2026-03-01T12:00:00.000Z",
    }


@given(
    st.fixed_dictionaries(
        {
            "status": st.sampled_from(Status),
            "task_type": st.sampled_from(TaskType),
            "cycle": st.sampled_from(Cycle),
            **dict.fromkeys(("total", "succeeded", "failed", "running"), st.integers(0, 100_000)),
            **dict.fromkeys(("began_at", "ended_at"), instants),
        }
    )
)
def test_a_record_has_exactly_the_thirteen_fields_in_any_state(fields: dict[str, Any]) -> None:
    said = page(record_of(an_execution(**fields)))
    counters = [fields[name] for name in ("total", "succeeded", "failed", "running")]
    assert list(said) == THIRTEEN
    assert [said[name] for name in COUNTERS] == counters
    assert all(said[name] is None or said[name].endswith("Z") for name in ("begin_time", "end_time", "create_time"))
    assert all(isinstance(said[name], str) for name in THIRTEEN if name not in COUNTERS and "_time" not in name)


def test_a_history_page_holds_kept_records_and_live_executions_alike() -> None:
    kept, live = an_execution("e1", status=Status.SUCCESS), an_execution("e2", status=Status.RUNNING)
    said = page(history_page(7, [live, record_of(kept)]))
    assert said == {"count": 7, "items": [page(record_of(live)), page(record_of(kept))]}


def test_an_empty_history_is_an_empty_list() -> None:
    assert history_page(0, []) == b'{"count":0,"items":[]}'


def test_a_failed_subtask_says_why() -> None:
    failed = a_subtask(
        2,
        status=Status.FAILED,
        began_at=after(1),
        ended_at=after(2),
        result_code=ResultCode.TIMEOUT,
        result_message="too late",
    )
    assert page(detail_page(an_execution(total=3), [failed])) == {
        "count": 3,
        "items": [
            {
                "id": "e1-2",
                "execute_id": "e1",
                "server_id": "s2",
                "server_name": "Server 2",
                "status": "FAILED",
                "task_type": "RESTART_SERVER",
                "time_zone": "UTC",
                "begin_time": "2026-03-01T12:00:01.000Z",
                "end_time": "2026-03-01T12:00:02.000Z",
                "result_code": "FC.TIMEOUT",
                "result_message": "too late",
                "evidence": None,
                "fire_time": "2026-03-01T12:00:00.000Z",
            }
        ],
    }


@pytest.mark.parametrize("status", Status)
def test_a_detail_has_the_vendors_fields_and_ours_behind_them_in_any_state(status: Status) -> None:
    subtask = a_subtask(status=status, server_name=None, evidence=Evidence.POWER_SEEN)
    (said,) = page(detail_page(an_execution(fire_at=NOW), [subtask]))["items"]
    assert list(said) == [*DETAIL, "evidence", "fire_time"]
