"""The two ends of the line between machines. The library for it is imported where it is used."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol
from urllib.parse import unquote, urlsplit, urlunsplit

import msgspec

from fleetcron.assembly.clock import elapsed
from fleetcron.assembly.extras import require_extra
from fleetcron.dispatch.contract import EngineEnd, WorkerEnd
from fleetcron.dispatch.nats.config import NatsConfig
from fleetcron.errors import BadSettings


class Connected(Protocol):
    """An end of the line that can tell whether it has one."""

    @property
    def connected(self) -> bool:
        """Whether NATS can be reached now."""
        ...


class FarEngineEnd(EngineEnd, Connected, Protocol):
    """An engine's end of a line between machines."""


class FarWorkerEnd(WorkerEnd, Connected, Protocol):
    """A worker's end of a line between machines."""


def nats_config(config: NatsConfig | None, urls: str | None) -> NatsConfig:
    """What the settings file says, with the servers that ``urls`` names, separated by commas, if it names any.

    A user with a password in the first of the URLs takes the place of what the file says about who we are.

    Raises:
        BadSettings: neither says where NATS is, or a URL cannot be meant; no password is in the message.
    """
    require_extra("nats", "the line")
    if not urls:
        if config is None:
            raise BadSettings("FLEETCRON_NATS", "must be set, or [nats] be in the settings file")
        return config
    config = config or NatsConfig()
    try:
        parts = [urlsplit(url.strip()) for url in urls.split(",")]
        servers = tuple(urlunsplit(part._replace(netloc=part.netloc.rpartition("@")[2])) for part in parts)
        who = parts[0]
        known = [part.scheme in {"nats", "tls", "ws", "wss"} and part.port != 0 for part in parts]
    except ValueError:
        raise BadSettings("FLEETCRON_NATS", "is not a list of URLs") from None
    if not all(known):
        raise BadSettings("FLEETCRON_NATS", "must be URLs like nats://host:4222, with commas between them")
    if who.username is None:
        return msgspec.structs.replace(config, servers=servers)
    return msgspec.structs.replace(
        config,
        servers=servers,
        user=unquote(who.username),
        password=None if who.password is None else unquote(who.password),
        nkey_seed_file=None,
        credentials_file=None,
    )


def engine_line(
    config: NatsConfig, *, route: Callable[[str], tuple[str, str]], name: str
) -> AbstractContextManager[FarEngineEnd]:
    """An engine's end while the block lasts; ``route`` tells for an endpoint's name its site and its driver."""
    from fleetcron.dispatch.nats.engine import NatsEngineLine  # noqa: PLC0415  (as said above)

    return NatsEngineLine(config, route=route, name=name)


def worker_line(config: NatsConfig, *, site: str, name: str) -> AbstractContextManager[FarWorkerEnd]:
    """A worker's end while the block lasts; no other worker of the site may have this name."""
    from fleetcron.dispatch.nats.worker import NatsWorkerLine  # noqa: PLC0415  (as said above)

    return NatsWorkerLine(config, site=site, worker=name, elapsed=elapsed)
