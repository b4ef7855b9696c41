"""The rate limit per caller, set in the settings file, over HTTP."""

from __future__ import annotations

from pathlib import Path

import httpx

from running import running

LIMITED = "[limits]\nrequests_per_second = 1\nburst = 3\n"


def test_a_caller_who_asks_too_often_is_told_when_to_come_again(tmp_path: Path) -> None:
    config = tmp_path / "limits.toml"
    config.write_text(LIMITED)
    with running(tmp_path, arguments=["--config", str(config)]) as service:
        headers = {"X-Auth-Token": service.token()}
        with httpx.Client(base_url=f"{service.url}/v1/{service.project_id}", headers=headers) as client:
            answers = [client.get("/schedule-task") for _ in range(8)]
        turned_away = [answer for answer in answers if answer.status_code == 429]
        assert [answer.status_code for answer in answers[:3]] == [200, 200, 200]
        assert turned_away
        for answer in turned_away:
            assert answer.json() == {
                "error_code": "APIGW.0308",
                "error_msg": "The throttling threshold has been reached.",
            }
            assert int(answer.headers["Retry-After"]) >= 1
            assert answer.headers["X-Request-Id"]


def test_too_many_failed_sign_ins_make_one_wait_even_with_the_right_password(tmp_path: Path) -> None:
    with running(tmp_path) as service, httpx.Client(base_url=service.url) as client:
        user = {"name": "admin", "password": "wrong", "domain": {"name": "default"}}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}
        statuses = [client.post("/v3/auth/tokens", json=body).status_code for _ in range(6)]
        assert statuses == [401] * 5 + [429]
        user["password"] = service.password
        assert client.post("/v3/auth/tokens", json=body).status_code == 429
