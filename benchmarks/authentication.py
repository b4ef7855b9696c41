"""What it costs to know who sends a request, as a share of the request."""

from __future__ import annotations

import asyncio
import time
from urllib.parse import urlsplit

from benchmarks.history import PATH, fill
from benchmarks.stage import ACCESS_KEY, SECRET_KEY, folder, founded, load, serving, spread, token
from fleetcron.assembly.clock import now
from fleetcron.control.access import Access
from fleetcron.control.throttle import Keys, RequestRate, Requests
from fleetcron.store.database import Database
from fleetcron.web.authentication import Gate
from fleetcron.wire.signature import Request, sign

EXECUTIONS = 10_000
ROUNDS = 5
CALLS_A_ROUND = 5_000
SHARE_MAX = 0.15
QUERY = "limit=10&offset=0"


def measure() -> str:
    """Measure and report."""
    with folder() as data_dir:
        with founded(data_dir) as database:
            fill(database, EXECUTIONS)
        requests: dict[str, list[float]] = {"token": [], "signature": []}
        with serving(data_dir) as address:
            credentials = _credentials(address)
            for _ in range(ROUNDS):
                for kind, headers in credentials.items():
                    url = f"{address}{PATH}?{QUERY}"
                    requests[kind].append(1e6 / load(url, headers, seconds=3))
        with founded(data_dir) as database:
            checks = {kind: _checks(database, address, headers) for kind, headers in credentials.items()}
    rows = "\n".join(
        f"| {kind} | {spread(requests[kind], 1)} | {spread(checks[kind], 1)} | "
        f"**{spread([a / b for a, b in zip(checks[kind], requests[kind], strict=True)], 3)}** | {SHARE_MAX} |"
        for kind in credentials
    )
    return f"""## Knowing who asks

Microseconds of one process for a page of history (limit 10) under full load, and of it for the gate alone: finding who
bears the token, or verifying the signature, and the rate limit. Median (least to most) of {ROUNDS} rounds.

| credentials | a request | the gate | share | promised at most |
|---|---|---|---|---|
{rows}
"""


def _credentials(address: str) -> dict[str, dict[str, str]]:
    signed = sign(_request(address), access_key=ACCESS_KEY, secret=SECRET_KEY, now=now())
    return {"token": {"X-Auth-Token": token(address)}, "signature": dict(signed)}


def _request(address: str, headers: dict[str, str] | None = None) -> Request:
    raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    return Request(
        method="GET",
        path=PATH.encode(),
        query=QUERY.encode(),
        headers=[(b"host", urlsplit(address).netloc.encode()), *raw],
        body=b"",
    )


def _checks(database: Database, address: str, headers: dict[str, str]) -> list[float]:
    """Microseconds that the gate takes, one figure a round."""
    gate = Gate(Access(database), keys=Keys(), requests=Requests(RequestRate(requests_per_second=1_000_000)))
    request = _request(address, headers)
    lower = {name.lower(): value for name, value in headers.items()}

    async def once() -> float:
        began = time.perf_counter()
        for _ in range(CALLS_A_ROUND):
            await gate.admit(request, lower, now())
        return 1e6 * (time.perf_counter() - began) / CALLS_A_ROUND

    return [asyncio.run(once()) for _ in range(ROUNDS)]
