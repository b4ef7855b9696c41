"""The peer is what it says: a NATS whose JetStream keeps, survives and forgets as a test bids it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
from nats import connect
from nats.aio.client import Client
from nats.errors import Error
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.errors import NotFoundError

from certificates import self_signed
from peers.nats import Nats, nats_peer

_T = TypeVar("_T")

AUTHORIZATION = """
authorization {
  users: [
    {user: engine, password: of-engine}
    {user: worker, password: of-worker, permissions: {publish: "fleet.event.>", subscribe: "_INBOX.>"}}
  ]
}
"""


@asynccontextmanager
async def connected(url: str | list[str], **options: Any) -> AsyncIterator[Client]:  # noqa: ANN401  (connect's own)
    client = await connect(url, allow_reconnect=False, connect_timeout=5, **options)
    try:
        yield client
    finally:
        await client.close()


async def confirmed(client: Client) -> None:
    """Wait until the server has read all that was said so far.

    The ping of a flush overtakes what is not yet written; that is written by the time its pong is there.
    """
    await client.flush()
    await client.flush()


async def ignored(_: Exception) -> None:
    """What is refused is told by what does not arrive."""


async def until_it_works(what: Callable[[], Awaitable[_T]]) -> _T:
    """Ask until it is answered: while a cluster chooses a leader, it is not."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await what()
            except (Error, NatsTimeoutError):
                await asyncio.sleep(0.05)


def test_a_stream_is_kept_over_a_kill_and_lost_by_a_wipe(tmp_path: Path) -> None:
    async def publish() -> None:
        async with connected(nats.url) as client:
            jetstream = client.jetstream()
            await jetstream.add_stream(name="KEPT", subjects=["kept.>"])
            await jetstream.publish("kept.one", b"1")

    async def count() -> int:
        async with connected(nats.url) as client:
            return (await client.jetstream().stream_info("KEPT")).state.messages

    with nats_peer(tmp_path, sync_interval="always") as nats:
        asyncio.run(publish())
        nats.node(0).kill()
        nats.node(0).start()
        assert asyncio.run(count()) == 1
        nats.restart()
        assert asyncio.run(count()) == 1
        nats.wipe()
        with pytest.raises(NotFoundError):
            asyncio.run(count())


def test_a_cluster_of_three_goes_on_without_one_but_not_without_two(tmp_path: Path) -> None:
    async def survive() -> None:
        async with connected(nats.urls[0]) as client:
            stream = await client.jetstream().add_stream(name="KEPT", subjects=["kept.>"], num_replicas=3)
            assert stream.cluster is not None
            await client.jetstream().publish("kept.one", b"1")
        nats.leader().kill()
        nats.wait_until_ready()
        (first, second) = [node for node in nats.nodes if node.process is not None]
        async with connected(first.url) as client:
            jetstream = client.jetstream(timeout=2)
            await until_it_works(lambda: jetstream.publish("kept.two", b"2"))
            assert (await until_it_works(lambda: jetstream.stream_info("KEPT"))).state.messages >= 2
            second.kill()
            with pytest.raises((Error, NatsTimeoutError)):
                await jetstream.publish("kept.three", b"3")

    with nats_peer(tmp_path, nodes=3) as nats:
        asyncio.run(survive())


def test_a_frozen_one_says_nothing_until_it_is_thawed(tmp_path: Path) -> None:
    async def freeze() -> None:
        async with connected(nats.url) as client:
            nats.node(0).freeze()
            with pytest.raises(NatsTimeoutError):
                await client.flush(timeout=1)
        nats.node(0).thaw()
        # Not through the same client: the late answer to what it has given up on ends its connection.
        async with connected(nats.url) as client:
            await client.flush()

    with nats_peer(tmp_path) as nats:
        asyncio.run(freeze())


def test_who_may_do_what_is_told_by_its_config(tmp_path: Path) -> None:
    async def publish() -> list[str]:
        async with (
            connected(nats.url, user="engine", password="of-engine") as engine,
            connected(nats.url, user="worker", password="of-worker", error_cb=ignored) as worker,
        ):
            heard = await engine.subscribe("fleet.>")
            await confirmed(engine)
            await worker.publish("fleet.command.refused", b"")
            await worker.publish("fleet.event.one", b"")
            await confirmed(worker)
            await engine.publish("fleet.command.one", b"")
            return [(await heard.next_msg(timeout=10)).subject for _ in range(2)]

    with nats_peer(tmp_path, config=AUTHORIZATION) as nats:
        assert asyncio.run(publish()) == ["fleet.event.one", "fleet.command.one"]
        with socket.create_connection(("127.0.0.1", nats.node(0).port), 10) as stranger:
            stranger.sendall(b'CONNECT {"user": "worker", "pass": "of-engine"}\r\nPING\r\n')
            with stranger.makefile("rb") as heard:
                assert b"-ERR 'Authorization Violation'\r\n" in iter(heard.readline, b"")


def test_with_a_certificate_it_asks_everybody_for_tls(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    context = ssl.create_default_context(cafile=certificate)
    hello = b"CONNECT {}\r\nPING\r\n"
    with nats_peer(tmp_path, tls=(certificate, key)) as nats:
        assert nats.url.startswith("tls://")
        address = ("127.0.0.1", nats.node(0).port)
        with socket.create_connection(address, 10) as plain:
            assert b'"tls_required":true' in plain.recv(4096)
            plain.sendall(hello)
            with plain.makefile("rb") as heard, suppress(ConnectionError):
                assert b"PONG" not in heard.read()
        with socket.create_connection(address, 10) as plain:
            assert plain.recv(4096).endswith(b"\r\n")
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as secure, secure.makefile("rb") as heard:
                secure.sendall(hello)
                # It may say more before that.
                assert b"PONG\r\n" in iter(heard.readline, b"")


def test_a_shared_one_has_jetstream(nats: Nats) -> None:
    async def account() -> int:
        async with connected(nats.urls) as client:
            return (await client.jetstream().account_info()).limits.max_streams

    assert nats.url == nats.urls[0]
    assert asyncio.run(account()) != 0
