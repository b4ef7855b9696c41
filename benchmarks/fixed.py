"""The limit: the same server and framework, answering bytes that it holds in memory.

``python -m benchmarks.fixed PORT FOLDER`` answers with the file ``LIMIT.json`` of the folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


def main(port: int, folder: Path) -> None:
    """Serve until terminated."""
    bodies = {path.stem: path.read_bytes() for path in folder.glob("*.json")}

    async def page(request: Request) -> Response:
        return Response(bodies[request.query_params["limit"]], media_type="application/json")

    app = Starlette(routes=[Route("/v1/{project_id}/schedule-task/{task_id}/execute-history", page)])
    uvicorn.run(
        app,
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
