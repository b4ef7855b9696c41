"""What each of us may do in NATS, as the part of a server's configuration that says so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from fleetcron.dispatch.nats.config import Subjects, inbox_prefix
from fleetcron.dispatch.nats.jetstream import API

ENGINE_INBOX: Final = "_INBOX"


def of_engine(subjects: Subjects) -> dict[str, Any]:
    """An engine makes and reads the streams, publishes commands and answers events."""
    return {
        "publish": {
            "allow": [
                f"{subjects.prefix}.>",
                f"{API}.>",
                f"$JS.ACK.{subjects.events}.>",
            ]
        },
        "subscribe": {"allow": [f"{ENGINE_INBOX}.>"]},
    }


def of_worker(subjects: Subjects, site: str) -> dict[str, Any]:
    """A worker takes its own site's commands and says what became of them. It sees and changes nothing else."""
    return {
        "publish": {
            "allow": [
                f"{subjects.prefix}.event.{site}.*",
                f"{API}.CONSUMER.MSG.NEXT.{subjects.commands}.{site}",
                f"{API}.CONSUMER.INFO.{subjects.commands}.{site}",
                f"$JS.ACK.{subjects.commands}.{site}.>",
            ]
        },
        "subscribe": {"allow": [f"{subjects.prefix}.verdict.{site}.*", f"{inbox_prefix(site)}.>"]},
    }


def authorization(subjects: Subjects, *, engine: Mapping[str, str], workers: Mapping[str, Mapping[str, str]]) -> str:
    """The server's ``authorization`` block for one engine's user and one user per site.

    ``engine`` and each of ``workers`` (by site) are what the server knows the user by: ``user`` and ``password``, or
    ``nkey``.
    """
    users = [dict(engine) | {"permissions": of_engine(subjects)}]
    users += [dict(worker) | {"permissions": of_worker(subjects, site)} for site, worker in workers.items()]
    return f"authorization {{ users: {json.dumps(users, indent=2)} }}\n"
