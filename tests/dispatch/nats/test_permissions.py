from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator

import pytest
from nats.errors import Error

from builders import eventually
from conversation import a_command, began
from fleetcron.dispatch.nats.config import NatsConfig, Subjects, inbox_prefix
from fleetcron.dispatch.nats.engine import NatsEngineLine
from fleetcron.dispatch.nats.permissions import authorization
from fleetcron.dispatch.nats.worker import NatsWorkerLine
from nats_line import OVER, connected, nats_line, run, settled, told, until
from peers.nats import Nats, nats_peer

SUBJECTS = Subjects("fleet")
ENGINE = {"user": "engine", "password": "of-engine"}
WORKERS = {
    "default": {"user": "default", "password": "of-default"},
    "north": {"user": "north", "password": "of-north"},
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nats]:
    """A NATS that lets everybody do what they are to do, and nothing else."""
    config = authorization(SUBJECTS, engine=ENGINE, workers=WORKERS)
    with nats_peer(tmp_path_factory.mktemp("guarded"), config=config) as nats:
        yield nats


def as_(user: dict[str, str], nats: Nats) -> NatsConfig:
    return NatsConfig(servers=tuple(nats.urls), ack_wait_seconds=1.5, user=user["user"], password=user["password"])


class Refusals:
    """What a server says to one who does what is not allowed."""

    def __init__(self) -> None:
        self.said: list[str] = []

    async def hear(self, error: Exception) -> None:
        self.said.append(str(error))


async def is_refused(refusals: Refusals) -> bool:
    """Whether what was done last was not allowed; that is told a little later."""
    await until(lambda: bool(refusals.said))
    return "permissions violation" in refusals.said[-1].lower()


def test_everybody_can_do_their_work(guarded: Nats) -> None:
    async def story() -> None:
        async with nats_line(as_(ENGINE, guarded), workers=lambda site: as_(WORKERS[site], guarded)) as line:
            here, there = await line.worker(), await line.worker("north")
            line.engine.publish([a_command(1), a_command(2, endpoint="attic")])
            for worker, ordinal in ((here, 1), (there, 2)):
                (command,) = await worker.take(10)
                assert command.ordinal == ordinal
                assert await told(line.engine, worker.report(began(ordinal)), OVER) is None
            line.engine.publish([a_command(3)])
            (command,) = await here.take(1)
            await here.hand_back(command)
            (again,) = await here.take(1)
            assert again.again
            await told(line.engine, here.report(settled(3)), OVER)
            line.engine.publish([a_command(5)])
            line.engine.withdraw([("e1", 5)])
            await until(lambda: len(line.engine.lost([("e1", ordinal) for ordinal in (1, 2, 3, 5)])) == 4)

    run(story())


def test_who_is_let_in_but_not_to_its_work_is_not_called_connected(guarded: Nats) -> None:
    """Or its health would say that all is well."""
    north = as_(WORKERS["north"], guarded)
    engine = NatsEngineLine(north, route=lambda endpoint: ("north", endpoint))
    worker = NatsWorkerLine(north, site="default", worker="w1", elapsed=time.monotonic)

    async def story(line: NatsEngineLine | NatsWorkerLine) -> set[bool]:
        said = set()
        with line:
            while not line._link._complaints:
                said.add(line.connected)
                await asyncio.sleep(0.01)
        return said

    assert [run(story(engine)), run(story(worker))] == [{False}, {False}]


def test_a_worker_is_connected_once_it_may_ask_for_commands(guarded: Nats) -> None:
    line = NatsWorkerLine(as_(WORKERS["north"], guarded), site="north", worker="w1", elapsed=time.monotonic)
    with line:
        eventually(lambda: line.connected)
    assert not line.connected


PUBLICATIONS = [
    pytest.param(f"$JS.API.CONSUMER.MSG.NEXT.{SUBJECTS.commands}.north", id="pull another site's commands"),
    pytest.param(f"$JS.API.STREAM.MSG.GET.{SUBJECTS.commands}", id="read the stream"),
    pytest.param(f"$JS.API.DIRECT.GET.{SUBJECTS.commands}", id="read the stream directly"),
    pytest.param(f"$JS.API.DIRECT.GET.{SUBJECTS.commands}.fleet.command.north.simulated.e1.1", id="read one directly"),
    pytest.param(f"$JS.API.CONSUMER.DURABLE.CREATE.{SUBJECTS.commands}.spy", id="make a durable consumer"),
    pytest.param(f"$JS.API.CONSUMER.CREATE.{SUBJECTS.commands}", id="make a consumer"),
    pytest.param(f"$JS.API.CONSUMER.CREATE.{SUBJECTS.commands}.spy.fleet.command.>", id="make one with a filter"),
    pytest.param(f"$JS.API.CONSUMER.DELETE.{SUBJECTS.commands}.default", id="take its own consumer away"),
    pytest.param(f"$JS.API.CONSUMER.INFO.{SUBJECTS.commands}.north", id="ask after another site's consumer"),
    pytest.param(f"$JS.API.STREAM.DELETE.{SUBJECTS.commands}", id="take the stream away"),
    pytest.param(f"$JS.API.STREAM.PURGE.{SUBJECTS.commands}", id="empty the stream"),
    pytest.param("$JS.API.STREAM.CREATE.SPY", id="make a stream"),
    pytest.param(f"$JS.API.STREAM.INFO.{SUBJECTS.commands}", id="ask after the stream"),
    pytest.param(f"$JS.API.CONSUMER.MSG.NEXT.{SUBJECTS.events}.recorder", id="take events"),
    pytest.param(f"$JS.ACK.{SUBJECTS.commands}.north.1.1.1.1.0", id="end another site's command"),
    pytest.param(f"$JS.ACK.{SUBJECTS.events}.recorder.1.1.1.1.0", id="end an event"),
    pytest.param(SUBJECTS.event("north", "w1"), id="say another site's events"),
    pytest.param(SUBJECTS.command("default", "simulated", ("e1", 1)), id="give commands"),
    pytest.param(SUBJECTS.verdict("default", "w1"), id="give verdicts"),
    pytest.param("_INBOX.engine", id="answer for the server"),
]


@pytest.mark.parametrize("subject", PUBLICATIONS)
def test_a_worker_may_not(guarded: Nats, subject: str) -> None:
    async def story() -> bool:
        refusals = Refusals()
        options = WORKERS["default"] | {"inbox_prefix": inbox_prefix("default")}
        async with connected(guarded.url, **options, error_cb=refusals.hear) as client:
            await client.publish(subject, json.dumps({}).encode(), client.new_inbox())
            return await is_refused(refusals)

    assert run(story())


@pytest.mark.parametrize(
    "subject",
    [
        "fleet.>",
        "fleet.command.default.>",
        "fleet.event.>",
        "fleet.verdict.>",
        SUBJECTS.verdict("north", "w1"),
        f"{inbox_prefix('north')}.>",
        "_INBOX.>",
        "$JS.>",
        "$SYS.>",
        ">",
    ],
)
def test_a_worker_may_not_listen_to(guarded: Nats, subject: str) -> None:
    async def story() -> bool:
        refusals = Refusals()
        async with connected(guarded.url, **WORKERS["default"], error_cb=refusals.hear) as client:
            await client.subscribe(subject)
            return await is_refused(refusals)

    assert run(story())


def test_a_worker_of_one_site_gets_nothing_of_another_by_a_pull(guarded: Nats) -> None:
    async def story() -> None:
        async with nats_line(as_(ENGINE, guarded), workers=lambda site: as_(WORKERS[site], guarded)) as line:
            line.engine.publish([a_command(1, endpoint="attic")])
            await until(lambda: line.engine.lost([("e1", 1)]) == [])
            user = WORKERS["default"]
            async with connected(guarded.url, **user, inbox_prefix=inbox_prefix("default")) as client:
                with pytest.raises((Error, TimeoutError)):
                    await client.request(f"$JS.API.CONSUMER.MSG.NEXT.{SUBJECTS.commands}.north", b"1", timeout=0.5)
            (command,) = await (await line.worker("north")).take(1)
            assert not command.again

    run(story())
