from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from nats.aio.client import Client

from builders import eventually
from certificates import self_signed
from fleetcron.dispatch.nats import link as module
from fleetcron.dispatch.nats.config import NatsConfig
from fleetcron.dispatch.nats.link import REFUSED, Link, together
from fleetcron.errors import BadSettings, Unavailable
from peers.nats import Nats, nats_peer

SECONDS_MAX = 20


class Sessions:
    """What sessions were begun and ended, in order."""

    def __init__(self) -> None:
        self.told: Queue[str] = Queue()

    async def live(self, client: Client) -> None:
        """A session that goes on until it is ended."""
        self.told.put("begun")
        try:
            await asyncio.Event().wait()
        finally:
            self.told.put("ended")
            if client.is_connected:
                await client.publish("farewell", b"")

    def next(self) -> str:
        return self.told.get(timeout=SECONDS_MAX)


@contextmanager
def linked(config: NatsConfig, sessions: Any) -> Iterator[Link]:  # noqa: ANN401  (whatever has live)
    """A link that is started, and closed in the end."""
    link = Link(config, name="test", inbox="_INBOX", session=sessions.live)
    link.start()
    try:
        yield link
    finally:
        link.close()
        assert not link._thread.is_alive()


def test_a_session_lives_until_the_link_is_closed(nats: Nats) -> None:
    sessions = Sessions()
    with linked(NatsConfig(servers=tuple(nats.urls)), sessions) as link:
        assert sessions.next() == "begun"
        assert link.connected
    assert sessions.next() == "ended"
    assert not link.connected


def test_what_a_session_sends_as_it_is_closed_arrives(nats: Nats) -> None:
    heard = Sessions()
    farewells: Queue[str] = Queue()

    class Listening:
        async def live(self, client: Client) -> None:
            async def hear(_: object) -> None:
                farewells.put("farewell")

            await client.subscribe("farewell", cb=hear)
            await client.flush()
            farewells.put("listening")
            await asyncio.Event().wait()

    config = NatsConfig(servers=tuple(nats.urls))
    with linked(config, Listening()):
        assert farewells.get(timeout=SECONDS_MAX) == "listening"
        with linked(config, heard):
            assert heard.next() == "begun"
        assert farewells.get(timeout=SECONDS_MAX) == "farewell"


def test_a_server_that_comes_late_or_again_is_found(tmp_path: Path) -> None:
    sessions = Sessions()
    with nats_peer(tmp_path) as nats:
        nats.node(0).kill()
        with linked(NatsConfig(servers=tuple(nats.urls)), sessions) as link:
            with pytest.raises(Unavailable):
                _ = link.client
            nats.node(0).start()
            assert sessions.next() == "begun"
            nats.node(0).kill()
            assert sessions.next() == "ended"
            eventually(lambda: not link.connected)
            nats.node(0).start()
            assert sessions.next() == "begun"
            eventually(lambda: link.connected)


def test_of_several_servers_one_that_is_there_is_enough(nats: Nats) -> None:
    sessions = Sessions()
    with linked(NatsConfig(servers=("nats://127.0.0.1:1", *nats.urls, "nats://127.0.0.1:2")), sessions):
        assert sessions.next() == "begun"


def test_a_session_that_finds_its_connection_unfit_gets_a_new_one(nats: Nats) -> None:
    clients: Queue[Client] = Queue()

    class Choosy:
        async def live(self, client: Client) -> None:
            clients.put(client)
            if clients.qsize() < 3:
                raise Unavailable("not this one")
            await asyncio.Event().wait()

    with linked(NatsConfig(servers=tuple(nats.urls)), Choosy()):
        eventually(lambda: clients.qsize() == 3)
    assert len({id(clients.get()) for _ in range(3)}) == 3


def test_what_a_session_stumbles_over_is_logged_and_the_next_begins(
    nats: Nats, caplog: pytest.LogCaptureFixture
) -> None:
    begun: Queue[str] = Queue()

    class Broken:
        async def live(self, _: Client) -> None:
            begun.put("begun")
            raise ZeroDivisionError

    with linked(NatsConfig(servers=tuple(nats.urls)), Broken()):
        eventually(lambda: begun.qsize() >= 2)
    assert "ZeroDivisionError" in caplog.text


def test_the_same_complaint_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with linked(NatsConfig(servers=("nats://127.0.0.1:1",)), Sessions()):
        eventually(lambda: sum("Connect call failed" in one for one in caplog.messages) >= 3)
    warned = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    assert (
        len([one for one in warned if "Connect call failed" in one])
        <= len([one for one in warned if "Connect call failed" not in one]) + 1
    )


def test_other_threads_can_ask_and_are_not_kept_waiting(nats: Nats) -> None:
    async def answer() -> str:
        return "answer"

    sessions = Sessions()
    with linked(NatsConfig(servers=tuple(nats.urls)), sessions) as link:
        assert sessions.next() == "begun"
        assert link.ask(answer(), SECONDS_MAX) == "answer"
        with pytest.raises(Unavailable, match="within"):
            link.ask(asyncio.sleep(SECONDS_MAX), 0.05)
    with pytest.raises(Unavailable, match="closed"):
        link.ask(answer(), SECONDS_MAX)
    link.call(sessions.next)


def test_the_servers_certificate_is_checked(tmp_path: Path) -> None:
    (tmp_path / "trusted").mkdir()
    (tmp_path / "other").mkdir()
    certificate, key = self_signed(tmp_path / "trusted")
    other, _ = self_signed(tmp_path / "other")
    with nats_peer(tmp_path, tls=(certificate, key)) as nats:
        trusting, doubting = Sessions(), Sessions()
        with (
            linked(NatsConfig(servers=tuple(nats.urls), tls_ca=str(certificate)), trusting),
            linked(NatsConfig(servers=tuple(nats.urls), tls_ca=str(other)), doubting) as refused,
        ):
            assert trusting.next() == "begun"
            eventually(lambda: "certificate" in str(refused._complaints).lower())
            assert doubting.told.empty()


def test_a_wrong_password_is_complained_of_once_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    users = 'authorization { users: [ { user: me, password: "right" } ] }'
    with nats_peer(tmp_path, config=users) as nats:
        sessions = Sessions()
        wrong = NatsConfig(servers=tuple(nats.urls), user="me", password="wrong")
        with linked(wrong, sessions) as link:
            eventually(lambda: "wrong user or password" in str(link._complaints))
            assert sessions.told.empty()
            assert caplog.text.count(REFUSED) == 1
        with linked(NatsConfig(servers=tuple(nats.urls), user="me", password="right"), sessions):
            assert sessions.next() == "begun"


def test_settings_that_cannot_be_used_are_refused_before_anything_is_begun(tmp_path: Path) -> None:
    with pytest.raises(BadSettings):
        Link(NatsConfig(tls_ca=str(tmp_path / "missing")), name="test", inbox="_INBOX", session=Sessions().live)


def test_parts_of_a_session_end_with_the_first_that_fails() -> None:
    ended: list[str] = []

    async def goes_on() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("other")

    async def fails() -> None:
        await asyncio.sleep(0)
        raise Unavailable("one")

    with pytest.raises(Unavailable, match="one"):
        asyncio.run(together(goes_on(), fails()))
    assert ended == ["other"]


def test_a_server_that_says_nothing_costs_one_try(nats: Nats, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECT_SECONDS_MAX", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        silent_url = f"nats://127.0.0.1:{silent.getsockname()[1]}"
        for _ in range(5):
            sessions = Sessions()
            with linked(NatsConfig(servers=(silent_url, *nats.urls)), sessions):
                assert sessions.next() == "begun"
            assert len(list(calls(silent))) <= 1


def calls(listener: socket.socket) -> Iterator[None]:
    """Everybody who has called since the last time."""
    with suppress(BlockingIOError):
        while True:
            listener.accept()[0].close()
            yield


def test_when_a_connection_is_lost_another_server_is_tried_first(tmp_path: Path) -> None:
    sessions = Sessions()
    with nats_peer(tmp_path, nodes=3) as cluster, linked(NatsConfig(servers=tuple(cluster.urls)), sessions) as link:
        assert sessions.next() == "begun"
        first = link.client.connected_url
        assert first is not None
        (node,) = [node for node in cluster.nodes if node.port == first.port]
        node.kill()
        assert sessions.next() == "ended"
        node.start()
        assert sessions.next() == "begun"
        assert link.client.connected_url != first
