"""Every operation of the Workspace API, asked by everybody who may and everybody who may not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import httpx
import pytest

from builders import Clock
from fleetcron.assembly.clock import now
from fleetcron.domain.access import ProjectScope
from fleetcron.domain.execution import short
from fleetcron.wire.operations import FLEET_OPERATIONS, OWN_OPERATIONS, TASK_OPERATIONS
from premises import ACCOUNT, BODY, NORTH, SECURITY, SUBJECT, TOKEN, Person, Premises, premises

SOUTH_TOKEN = ProjectScope(name="south")
SCHEDULE = {"scheduled_type": "DAY", "day_interval": 1, "scheduled_time": "03:00:00"}
JSON = {"content-type": "application/json"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One operation: how it is asked, what permission that takes and on which resource, first of all.

    ``{task}`` in texts is a task's id. ``looks`` says whether it only looks.
    """

    id: str
    method: str
    path: str
    body: Any = None
    action: str
    resource: str
    looks: bool = False

    def asked(self, task_id: str) -> tuple[str, bytes]:
        """Path and body for one task."""
        body = b"" if self.body is None else json.dumps(self.body).replace("{task}", task_id).encode()
        return f"/v1/{NORTH}{self.path}".replace("{task}", task_id), body

    def sentence(self, person: str, task_id: str, *, explicit: bool) -> str:
        """Why somebody may not: who, what, on what, and why not."""
        resource = self.resource.replace("{task}", task_id)
        urn = resource if resource == "*" else f"workspace:north:{ACCOUNT}:{resource}"
        said = f"User: {person} is not authorized to perform: {self.action} on resource: {urn}"
        if explicit:
            return short(f"{said} with an explicit deny in the identity-based policy.")
        return short(f"{said} because no identity-based policy allows the {self.action} action.")


TASKS, SERVERS = "workspace:scheduledTasks:", "workspace:server:"
ROWS: Final = (
    Row(id="ListScheduleTasks", method="GET", path="/schedule-task", action=TASKS + "list",
        resource="scheduledTask:*", looks=True),
    Row(id="CreateScheduleTask", method="POST", path="/schedule-task", body=BODY, action=TASKS + "create",
        resource="scheduledTask:*"),
    Row(id="ShowScheduleTask", method="GET", path="/schedule-task/{task}", action=TASKS + "get",
        resource="scheduledTask:{task}", looks=True),
    Row(id="UpdateScheduleTask", method="PATCH", path="/schedule-task/{task}", body={"is_enable": False},
        action=TASKS + "update", resource="scheduledTask:{task}"),
    Row(id="DeleteScheduleTask", method="DELETE", path="/schedule-task/{task}", action=TASKS + "delete",
        resource="scheduledTask:{task}"),
    Row(id="BatchDeleteScheduleTask", method="POST", path="/schedule-task/actions/batch-delete",
        body={"items": ["{task}"]}, action=TASKS + "batchDelete", resource="scheduledTask:{task}"),
    Row(id="ListFutureExecutions", method="POST", path="/schedule-task/future-executions", body=SCHEDULE,
        action=TASKS + "getFuture", resource="*", looks=True),
    Row(id="ListTaskExecuteHistory", method="GET", path="/schedule-task/{task}/execute-history",
        action=TASKS + "listRecords", resource="scheduledTask:{task}", looks=True),
    Row(id="ListTaskExecuteDetail", method="GET", path="/schedule-task/{task}-1/execute-detail",
        action=TASKS + "getRecord", resource="scheduledTask:*", looks=True),
    Row(id="CancelTaskExecution", method="POST", path="/schedule-task/{task}/execute-history/{task}-1/cancel",
        action=TASKS + "update", resource="scheduledTask:{task}"),
    Row(id="ListServers", method="GET", path="/app-servers", action=SERVERS + "list", resource="server:*", looks=True),
    Row(id="ShowServer", method="GET", path="/app-servers/s-1", action=SERVERS + "get", resource="server:s-1",
        looks=True),
    Row(id="ListServerGroups", method="GET", path="/app-server-groups", action="workspace:serverGroup:list",
        resource="serverGroup:*", looks=True),
    Row(id="ShowServerGroup", method="GET", path="/app-server-groups/lab", action="workspace:serverGroup:get",
        resource="serverGroup:lab", looks=True),
    Row(id="BatchStartServer", method="PATCH", path="/app-servers/actions/batch-start", body={"items": ["s-2"]},
        action=SERVERS + "batchStart", resource="server:s-2"),
    Row(id="BatchStopServer", method="PATCH", path="/app-servers/actions/batch-stop", body={"items": ["s-2"]},
        action=SERVERS + "batchStop", resource="server:s-2"),
    Row(id="BatchRebootServer", method="PATCH", path="/app-servers/actions/batch-reboot", body={"items": ["s-2"]},
        action=SERVERS + "batchReboot", resource="server:s-2"),
    Row(id="BatchReinstallServer", method="POST", path="/app-servers/actions/batch-reinstall",
        body={"server_ids": ["s-2"]}, action=SERVERS + "batchReinstall", resource="server:s-2"),
    Row(id="ReinstallServer", method="POST", path="/app-servers/s-2/actions/reinstall", body={},
        action=SERVERS + "batchReinstall", resource="server:s-2"),
)  # fmt: skip

every_operation = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Premises]:
    with premises(tmp_path_factory.mktemp("matrix"), Clock(now())) as place:
        yield place


@pytest.fixture(scope="module")
def task_id(place: Premises) -> str:
    """Of the task that everybody reaches for who is refused, and that outlives them all."""
    return place.task()


@pytest.fixture(scope="module")
def people(place: Premises) -> dict[str, Person]:
    records = place.policy({"Effect": "Allow", "Action": ["workspace:scheduledTasks:listRecords"]})
    deny = place.policy(
        {"Effect": "Deny", "Action": ["workspace:scheduled*:*", "workspace:server:batch?*"], "Resource": ["*"]}
    )
    return {
        "full": place.person("full", "Workspace FullAccess"),
        "reader": place.person("reader", "Workspace ReadOnlyAccess"),
        "recorder": place.person("recorder", records),
        "denied": place.person("denied", "Workspace FullAccess", deny),
        "nobody": place.person("nobody"),
        "disabled": place.person("disabled", "Workspace FullAccess"),
    }


@pytest.fixture(scope="module")
def asks(place: Premises) -> Callable[..., httpx.Response]:
    """Sends one row's request for a task with these headers."""

    def asks(row: Row, task_id: str, headers: dict[str, str]) -> httpx.Response:
        path, body = row.asked(task_id)
        media = JSON if body else {}
        return place.client.request(row.method, path, content=body, headers={**media, **headers})

    return asks


Asks = Callable[[Row, str, dict[str, str]], httpx.Response]


def refused(answer: httpx.Response, status: int, code: str) -> str:
    assert answer.status_code == status, answer.text
    fault = answer.json()
    assert set(fault) == {"error_code", "error_msg"}
    assert fault["error_code"] == code
    return str(fault["error_msg"])


def did_its_work(row: Row, answer: httpx.Response, place: Premises, task_id: str) -> None:
    """The answer is a success, and what it says has happened is there to be read."""
    assert answer.status_code == 200, answer.text
    shown = place.client.get(f"/v1/{NORTH}/schedule-task/{task_id}", headers=place.root)
    match row.id:
        case "DeleteScheduleTask" | "BatchDeleteScheduleTask":
            assert shown.status_code == 404
        case "UpdateScheduleTask":
            assert answer.json()["is_enable"] is False
        case "CreateScheduleTask":
            made = place.client.get(f"/v1/{NORTH}/schedule-task/{answer.json()['id']}", headers=place.root)
            assert made.status_code == 200
        case _:
            assert shown.status_code == 200


def test_the_matrix_has_a_row_for_every_operation_and_its_permission() -> None:
    operations = (*TASK_OPERATIONS, *OWN_OPERATIONS, *FLEET_OPERATIONS)
    assert [(row.id, row.method, row.action) for row in ROWS] == [
        (operation.id, operation.method, operation.permission) for operation in operations
    ]


# Who is let in.


@every_operation
@pytest.mark.parametrize("how", ["token", "token for the project", "signature"])
def test_the_account_may_everything(place: Premises, asks: Asks, row: Row, how: str) -> None:
    task_id = place.task()
    path, body = row.asked(task_id)
    headers = {
        "token": lambda: place.root,
        "token for the project": lambda: {TOKEN: place.token("admin", ProjectScope(name="north"))},
        "signature": lambda: place.signed(row.method, path, body),
    }[how]()
    before = place.rows()
    did_its_work(row, asks(row, task_id, headers), place, task_id)
    assert (place.rows() == before) is row.looks


@every_operation
@pytest.mark.parametrize("how", ["token", "token for the project", "signature", "temporary key"])
def test_full_access_is_to_everything(
    place: Premises, people: dict[str, Person], asks: Asks, row: Row, *, how: str
) -> None:
    full, task_id = people["full"], place.task()
    headers = credentials(place, full, row, task_id, how)
    before = place.rows()
    did_its_work(row, asks(row, task_id, headers), place, task_id)
    assert (place.rows() == before) is row.looks


@every_operation
def test_read_only_access_is_to_what_only_looks(
    place: Premises, people: dict[str, Person], asks: Asks, row: Row, task_id: str
) -> None:
    before = place.rows()
    answer = asks(row, task_id, {TOKEN: place.token("reader")})
    if row.looks:
        assert answer.status_code == 200, answer.text
    else:
        assert refused(answer, 403, "WKS.00081102") == row.sentence("reader", task_id, explicit=False)
    assert place.rows() == before


@every_operation
@pytest.mark.parametrize("how", ["token", "token for the project", "signature", "temporary key"])
def test_one_action_is_one_operation(
    place: Premises, people: dict[str, Person], asks: Asks, row: Row, task_id: str, *, how: str
) -> None:
    before = place.rows()
    answer = asks(row, task_id, credentials(place, people["recorder"], row, task_id, how))
    if row.id == "ListTaskExecuteHistory":
        assert answer.json()["count"] == 1
    else:
        assert refused(answer, 403, "WKS.00081102") == row.sentence("recorder", task_id, explicit=False)
    assert place.rows() == before


@every_operation
def test_a_deny_wins_over_full_access(
    place: Premises, people: dict[str, Person], asks: Asks, row: Row, task_id: str
) -> None:
    before = place.rows()
    answer = asks(row, task_id, {TOKEN: place.token("denied")})
    if row.action.endswith((":list", ":get")) and "scheduledTasks" not in row.action:
        assert answer.status_code == 200, answer.text
    else:
        assert refused(answer, 403, "WKS.00081102") == row.sentence("denied", task_id, explicit=True)
    assert place.rows() == before


@every_operation
def test_without_a_policy_nothing_is_allowed(
    place: Premises, people: dict[str, Person], asks: Asks, row: Row, task_id: str
) -> None:
    before = place.rows()
    answer = asks(row, task_id, {TOKEN: place.token("nobody")})
    assert refused(answer, 403, "WKS.00081102") == row.sentence("nobody", task_id, explicit=False)
    assert place.rows() == before


@every_operation
@pytest.mark.parametrize("person", ["admin", "full"])
def test_a_token_of_another_project_opens_nothing(
    place: Premises, people: dict[str, Person], asks: Asks, row: Row, task_id: str, *, person: str
) -> None:
    before = place.rows()
    answer = asks(row, task_id, {TOKEN: place.token(person, SOUTH_TOKEN)})
    said = refused(answer, 403, "WKS.00081102")
    assert said == f"The token of user {person} is not for project {NORTH}."
    assert place.rows() == before


def credentials(place: Premises, person: Person, row: Row, task_id: str, how: str) -> dict[str, str]:
    """The headers of this person's request, who proves in this way who it is."""
    path, body = row.asked(task_id)
    match how:
        case "token":
            return {TOKEN: place.token(person.name)}
        case "token for the project":
            return {TOKEN: place.token(person.name, ProjectScope(name="north"))}
        case "signature":
            return place.signed_by(person, row.method, path, body)
        case _:
            key = temporary_key(place, person)
            return place.signed(
                row.method, path, body,
                access_key=key["access"], secret=key["secret"], headers={SECURITY: key["securitytoken"]},
            )  # fmt: skip


def temporary_key(place: Premises, person: Person) -> dict[str, str]:
    body = {"auth": {"identity": {"methods": ["token"], "token": {"duration_seconds": 900}}}}
    headers = {TOKEN: place.token(person.name)}
    answer = place.client.post("/v3.0/OS-CREDENTIAL/securitytokens", json=body, headers=headers)
    key: dict[str, str] = answer.raise_for_status().json()["credential"]
    return key


# Whose credentials do not hold.

IAM = "Incorrect IAM authentication information: "
Refused = tuple[dict[str, str], str, str]


def stranger(place: Premises, row: Row, task_id: str) -> Refused:
    return {}, "APIGW.0301", "x-auth-token not found"


def expired_token(place: Premises, row: Row, task_id: str) -> Refused:
    return {TOKEN: place.token("admin", age=timedelta(hours=24))}, "APIGW.0307", "The token must be updated."


def revoked_token(place: Premises, row: Row, task_id: str) -> Refused:
    token = place.token("admin")
    # It was good, and found so a moment ago.
    assert place.client.get(f"/v1/{NORTH}/schedule-task", headers={TOKEN: token}).status_code == 200
    gone = place.client.delete("/v3/auth/tokens", headers={**place.root, SUBJECT: token})
    assert gone.status_code == 204
    return {TOKEN: token}, "APIGW.0301", "decrypt token fail"


def tampered_token(place: Premises, row: Row, task_id: str) -> Refused:
    token = place.token("admin")
    return {TOKEN: token[:-1] + ("A" if token[-1] != "A" else "B")}, "APIGW.0301", "decrypt token fail"


def disabled_users_token(place: Premises, row: Row, task_id: str) -> Refused:
    user = place.as_root("GET", "/v3/users?name=disabled")["users"][0]
    place.as_root("PATCH", f"/v3/users/{user['id']}", {"user": {"enabled": True}})
    token = place.token("disabled")
    place.as_root("PATCH", f"/v3/users/{user['id']}", {"user": {"enabled": False}})
    return {TOKEN: token}, "APIGW.0301", "decrypt token fail"


def wrong_signature(place: Premises, row: Row, task_id: str) -> Refused:
    path, body = row.asked(task_id)
    return place.signed(row.method, path, body, secret="guessed"), "APIGW.0301", "verify aksk signature fail"


def unknown_key(place: Premises, row: Row, task_id: str) -> Refused:
    path, body = row.asked(task_id)
    headers = place.signed(row.method, path, body, access_key="AKNOBODY")
    return headers, "APIGW.0301", "Get secretKey failed,ak:AKNOBODY,err:ak not exist"


def early_signature(place: Premises, row: Row, task_id: str) -> Refused:
    path, body = row.asked(task_id)
    headers = place.signed(row.method, path, body, age=timedelta(minutes=15, seconds=2))
    return headers, "APIGW.0301", f"server time:{place.clock():%Y%m%dT%H%M%SZ}"


def late_signature(place: Premises, row: Row, task_id: str) -> Refused:
    path, body = row.asked(task_id)
    headers = place.signed(row.method, path, body, age=-timedelta(minutes=15, seconds=2))
    return headers, "APIGW.0301", f"server time:{place.clock():%Y%m%dT%H%M%SZ}"


def another_body(place: Premises, row: Row, task_id: str) -> Refused:
    path, body = row.asked(task_id)
    headers = place.signed(row.method, path, body.replace(b"}", b" }") if row.body is not None else b"{}")
    if row.method == "GET":
        # Nobody reads the body of one that looks: what it says is in the query.
        headers = place.signed(row.method, f"{path}?limit=5")
    return headers, "APIGW.0301", "verify aksk signature fail"


def another_method(place: Premises, row: Row, task_id: str) -> Refused:
    path, body = row.asked(task_id)
    headers = place.signed("PUT", path, body)
    return headers, "APIGW.0301", "verify aksk signature fail"


def another_project(place: Premises, row: Row, task_id: str) -> Refused:
    path, body = row.asked(task_id)
    headers = place.signed(row.method, path.replace(NORTH, place.projects["south"]), body)
    return headers, "APIGW.0301", "verify aksk signature fail"


def changed_signed_header(place: Premises, row: Row, task_id: str) -> Refused:
    path, body = row.asked(task_id)
    headers = place.signed(row.method, path, body, headers={"X-Project-Id": NORTH})
    return headers | {"x-project-id": place.projects["south"]}, "APIGW.0301", "verify aksk signature fail"


def dropped_signed_header(place: Premises, row: Row, task_id: str) -> Refused:
    path, body = row.asked(task_id)
    headers = place.signed(row.method, path, body, headers={"X-Project-Id": NORTH})
    del headers["x-project-id"]
    return headers, "APIGW.0301", "the signed header x-project-id is missing"


def security_token_of_nobodys(place: Premises, row: Row, task_id: str) -> Refused:
    path, body = row.asked(task_id)
    headers = place.signed(row.method, path, body)
    return headers | {SECURITY: "made up"}, "APIGW.0301", "the security token does not belong to the access key"


def temporary_key_without_its_token(place: Premises, row: Row, task_id: str) -> Refused:
    path, body = row.asked(task_id)
    user_id = place.as_root("GET", "/v3/users?name=full")["users"][0]["id"]
    key = temporary_key(place, Person(name="full", user_id=user_id, access_key="", secret_key=""))
    headers = place.signed(row.method, path, body, access_key=key["access"], secret=key["secret"])
    return headers, "APIGW.0301", "the security token does not belong to the access key"


def good_token_beside_a_bad_signature(place: Premises, row: Row, task_id: str) -> Refused:
    headers, code, words = wrong_signature(place, row, task_id)
    return headers | place.root, code, words


@every_operation
@pytest.mark.parametrize(
    "prove",
    [
        stranger, expired_token, revoked_token, tampered_token, disabled_users_token,
        wrong_signature, unknown_key, early_signature, late_signature, another_body, another_method, another_project,
        changed_signed_header, dropped_signed_header, security_token_of_nobodys, temporary_key_without_its_token,
        good_token_beside_a_bad_signature,
    ],
    ids=lambda prove: prove.__name__,
)  # fmt: skip
def test_who_cannot_prove_who_it_is_gets_nothing(
    place: Premises, people: dict[str, Person], asks: Asks, row: Row, task_id: str, *,
    prove: Callable[[Premises, Row, str], Refused],
) -> None:  # fmt: skip
    # A good signature first: bad ones in a row would lock the key that they all use.
    path = f"/v1/{NORTH}/schedule-task"
    assert place.client.get(path, headers=place.signed("GET", path)).status_code == 200
    headers, code, words = prove(place, row, task_id)
    before = place.rows()
    said = refused(asks(row, task_id, headers), 401, code)
    assert said.startswith("" if code == "APIGW.0307" else IAM)
    assert words in said
    assert place.rows() == before


@every_operation
def test_a_disabled_users_key_signs_nothing(
    place: Premises, people: dict[str, Person], asks: Asks, row: Row, task_id: str
) -> None:
    disabled = people["disabled"]
    place.as_root("PATCH", f"/v3/users/{disabled.user_id}", {"user": {"enabled": False}})
    before = place.rows()
    answer = asks(row, task_id, credentials(place, disabled, row, task_id, "signature"))
    assert "ak not exist" in refused(answer, 401, "APIGW.0301")
    assert place.rows() == before


# What is not signed and not used may say anything.


@every_operation
@pytest.mark.parametrize(
    "beside",
    [
        {"Accept": "text/html"},
        {"User-Agent": "another"},
        {"X-Project-Id": "another"},
        {"X-Domain-Id": "another"},
        {"X-Forwarded-For": "192.0.2.1"},
        {"X-Auth-Token": "made up"},
        {"X-Security-Token": ""},
        {"X-HTTP-Method-Override": "DELETE", "X-Original-URL": "/v3/users", "X-Rewrite-URL": "/v3/users"},
    ],
    ids=lambda beside: next(iter(beside)),
)
def test_what_is_not_signed_and_not_used_changes_nothing(
    place: Premises, asks: Asks, row: Row, beside: dict[str, str]
) -> None:
    task_id = place.task()
    path, body = row.asked(task_id)
    before = place.rows()
    did_its_work(row, asks(row, task_id, place.signed(row.method, path, body) | beside), place, task_id)
    assert (place.rows() == before) is row.looks


@every_operation
def test_what_is_signed_gives_no_more_than_the_signers_own(
    place: Premises, people: dict[str, Person], asks: Asks, row: Row, task_id: str
) -> None:
    # Whoever may nothing signs, and says to be somebody else.
    nobody = people["nobody"]
    path, body = row.asked(task_id)
    headers = place.signed(
        row.method, path, body, access_key=nobody.access_key, secret=nobody.secret_key,
        headers={"X-Project-Id": NORTH, "X-Domain-Id": ACCOUNT},
    )  # fmt: skip
    before = place.rows()
    answer = asks(row, task_id, headers | place.root)
    assert refused(answer, 403, "WKS.00081102") == row.sentence("nobody", task_id, explicit=False)
    assert place.rows() == before
