"""The audit log at the doors: what becomes a record, and how the log is read over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from builders import NOW, eventually
from fleetcron.domain.access import Caller
from fleetcron.domain.audit import AuditEntry, Outcome
from fleetcron.errors import Forbidden, Invalid, NotFound, StaleToken, Throttled, Unauthenticated, Unavailable
from fleetcron.web.audit import entry_of
from fleetcron.wire.operation import Operation
from fleetcron.wire.operations import OPERATIONS

LOG = "/v3/audit-records"
ROWS = {operation.id: operation for operation in OPERATIONS}
ADA = Caller(user_id="id-of-ada", user_name="ada", account_id="default", administrator=False, project_id="p2")


def the_entry(operation_id: str, error: Exception | None = None, **fields: Any) -> AuditEntry | None:  # noqa: ANN401
    said: dict[str, Any] = {
        "at": NOW,
        "caller": ADA,
        "source": "192.0.2.7",
        "path": "/v1/p1/schedule-task/t1",
        "path_parameters": {"project_id": "p1", "task_id": "t1"},
        "status": 200,
        "policy": "Workspace FullAccess",
        "request_id": "0123",
    }
    return entry_of(ROWS[operation_id], error=error, **(said | fields))


def test_a_change_says_who_did_what_when_and_from_where() -> None:
    assert the_entry("DeleteScheduleTask") == AuditEntry(
        at=NOW,
        user_id="id-of-ada",
        user_name="ada",
        account_id="default",
        project_id="p1",
        source="192.0.2.7",
        operation="DeleteScheduleTask",
        action="workspace:scheduledTasks:delete",
        resource="/v1/p1/schedule-task/t1",
        status=200,
        decision=Outcome.ALLOWED,
        policy="Workspace FullAccess",
        reason=None,
        request_id="0123",
    )


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
def test_every_operation_that_may_change_something_is_recorded_and_no_reading_is(operation: Operation) -> None:
    assert (the_entry(operation.id) is None) is (operation.method in {"GET", "HEAD"})


@pytest.mark.parametrize("operation", [row for row in OPERATIONS if not row.open_to_all], ids=lambda row: row.id)
@pytest.mark.parametrize(
    ("error", "decision"),
    [
        (Forbidden("No policy allows it."), Outcome.DENIED),
        (Unauthenticated("decrypt token fail"), Outcome.UNAUTHENTICATED),
        (StaleToken("The token must be updated."), Outcome.UNAUTHENTICATED),
    ],
)
def test_every_refusal_is_recorded_with_its_reason(
    operation: Operation, error: Forbidden | Unauthenticated, decision: Outcome
) -> None:
    entry = the_entry(operation.id, error, status=401)
    assert entry is not None
    assert (entry.decision, entry.reason, entry.operation) == (decision, error.reason, operation.id)


@pytest.mark.parametrize("error", [NotFound("task", "t1"), Invalid("name", "is 's3cret'"), Unavailable("disk full")])
def test_a_change_that_failed_for_another_reason_was_allowed_and_quotes_nothing(error: Exception) -> None:
    entry = the_entry("DeleteScheduleTask", error, status=404)
    assert entry is not None
    assert (entry.decision, entry.status, entry.reason) == (Outcome.ALLOWED, 404, None)


@pytest.mark.parametrize("error", [Throttled(1.0), Forbidden("No."), Unauthenticated("Who?")])
def test_what_a_limit_turns_away_is_no_decision_of_anybodys(error: Exception) -> None:
    recorded = the_entry("DeleteScheduleTask", error) is not None
    assert recorded is not isinstance(error, Throttled)


def test_what_was_turned_away_before_anybody_asked_who_sends_it_is_not_recorded() -> None:
    assert the_entry("CreateScheduleTask", Exception("too large"), caller=None, status=413) is None


def test_a_sign_in_is_recorded_with_who_signed_in_or_with_nobody() -> None:
    done = the_entry("KeystoneCreateUserTokenByPassword", path_parameters={})
    failed = the_entry("KeystoneCreateUserTokenByPassword", Unauthenticated("Wrong."), caller=None, path_parameters={})
    assert done is not None
    assert failed is not None
    assert (done.user_name, done.project_id, done.decision) == ("ada", "p2", Outcome.ALLOWED)
    assert (failed.user_name, failed.account_id, failed.decision) == (None, None, Outcome.UNAUTHENTICATED)


@pytest.fixture
def log(root: httpx.Client) -> Callable[..., list[dict[str, Any]]]:
    """The newest page of the log for this question."""

    def ask(**query: str | int) -> list[dict[str, Any]]:
        answer = root.get(LOG, params=query)
        assert answer.status_code == 200, answer.text
        records: list[dict[str, Any]] = answer.json()["records"]
        return records

    return ask


@pytest.fixture
def plain(root: httpx.Client, address: str) -> Iterator[httpx.Client]:
    """A client as a user who is no administrator and whom no policy allows anything."""
    made = root.post("/v3/users", json={"user": {"name": "plain", "password": "plain password"}}).json()["user"]
    user = {"name": "plain", "password": "plain password", "domain": {"name": "default"}}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}
    token = root.post("/v3/auth/tokens", json=body).headers["X-Subject-Token"]
    with httpx.Client(base_url=address, headers={"X-Auth-Token": token}) as client:
        yield client
    root.delete(f"/v3/users/{made['id']}")


Log = Callable[..., list[dict[str, Any]]]


def test_a_change_is_on_record_when_it_is_answered(web: httpx.Client, create: Callable[..., str], log: Log) -> None:
    task_id = create(task_name="audited")
    answer = web.delete(f"/schedule-task/{task_id}?name=s3cret")
    deleted, created = log(limit=2)
    assert deleted["request_id"] == answer.headers["X-Request-Id"]
    assert (deleted["operation"], deleted["status"]) == ("DeleteScheduleTask", answer.status_code)
    assert deleted["resource"] == f"{web.base_url.path.rstrip('/')}/schedule-task/{task_id}"
    assert (deleted["user_name"], deleted["source"], deleted["decision"]) == ("admin", "127.0.0.1", "allowed")
    assert created["operation"] == "CreateScheduleTask"
    assert created["id"] < deleted["id"]


def test_a_refused_reading_is_on_record_soon(plain: httpx.Client, log: Log) -> None:
    request_id = plain.get("/v3/users").headers["X-Request-Id"]
    (record,) = eventually(lambda: [one for one in log(user="plain") if one["request_id"] == request_id])
    assert (record["operation"], record["decision"], record["status"]) == ("KeystoneListUsers", "denied", 403)
    assert record["reason"]


def test_a_call_of_nobodys_is_on_record_soon(stranger: httpx.Client, log: Log) -> None:
    request_id = stranger.get("/schedule-task", headers={"X-Auth-Token": "forged"}).headers["X-Request-Id"]
    (record,) = eventually(lambda: [one for one in log(decision="refused") if one["request_id"] == request_id])
    assert (record["user_id"], record["decision"], record["status"]) == (None, "unauthenticated", 401)


def test_no_secret_is_on_record(root: httpx.Client, log: Log) -> None:
    password, token = "pa55 for the audit", "t0ken-for-the-audit"
    user = {"name": "admin", "password": password, "domain": {"name": "default"}}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}
    failed = root.post("/v3/auth/tokens", json=body).headers["X-Request-Id"]
    last = root.get("/v3/users", headers={"X-Auth-Token": token}).headers["X-Request-Id"]
    eventually(lambda: {failed, last} <= {one["request_id"] for one in log()})
    records = log()
    assert not [one for one in records if password in str(one) or token in str(one) or "Signature=" in str(one)]


def test_pages_follow_one_another_by_their_marker(root: httpx.Client, create: Callable[..., str]) -> None:
    for _ in range(3):
        create()
    query: dict[str, str | int] = {"operation": "CreateScheduleTask", "limit": 2}
    first = root.get(LOG, params=query).json()
    second = root.get(LOG, params={**query, "marker": first["next_marker"]}).json()
    ids = [record["id"] for record in first["records"] + second["records"]]
    assert len(first["records"]) == 2
    assert ids == sorted(set(ids), reverse=True)


def test_only_who_manages_the_account_reads_the_log(plain: httpx.Client) -> None:
    answer = plain.get(LOG)
    assert (answer.status_code, answer.json()["error"]["title"]) == (403, "Forbidden")


@pytest.mark.parametrize("query", [{"limit": "101"}, {"since": "yesterday"}, {"marker": "x"}])
def test_a_wrong_question_names_its_field(root: httpx.Client, query: dict[str, str]) -> None:
    answer = root.get(LOG, params=query)
    assert answer.status_code == 400
    assert next(iter(query)) in answer.json()["error"]["message"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nobody_can_change_the_log(root: httpx.Client, method: str) -> None:
    assert root.request(method, LOG).status_code == 405
