"""What a door turns away before anything is asked of control."""

from __future__ import annotations

import httpx
import pytest

TOKEN = "X-Auth-Token"


@pytest.mark.parametrize("name", ["X-Auth-Token", "Authorization", "X-Security-Token"])
def test_a_credential_that_comes_twice_is_refused(stranger: httpx.Client, name: str) -> None:
    answer = stranger.get("/schedule-task", headers=[(name, "one"), (name.lower(), "two")])
    assert answer.status_code == 400
    assert name.lower() in answer.json()["error_msg"]


@pytest.mark.parametrize("path", ["/schedule-task/a%2Fb", "/schedule-task%2Fa", "/app-servers/%2f"])
def test_an_encoded_slash_opens_no_door(web: httpx.Client, path: str) -> None:
    answer = web.get(path)
    assert (answer.status_code, answer.json()["error_code"]) == (404, "APIGW.0101")


def test_every_answer_can_be_quoted(stranger: httpx.Client, web: httpx.Client) -> None:
    answers = [
        stranger.get("/schedule-task"),
        web.get("/schedule-task"),
        web.post("/schedule-task"),
        web.put("/nowhere"),
    ]
    ids = {answer.headers["X-Request-Id"] for answer in answers}
    assert len(ids) == len(answers)


def test_what_may_hold_secrets_is_kept_by_nobody_on_the_way(stranger: httpx.Client, address: str) -> None:
    assert stranger.get(f"{address}/v3").headers["Cache-Control"] == "no-store"
    assert "Cache-Control" not in stranger.get("/schedule-task").headers
