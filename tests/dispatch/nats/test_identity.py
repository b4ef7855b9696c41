from __future__ import annotations

import asyncio
import base64
import secrets
from pathlib import Path

import pytest

from fleetcron.dispatch.nats.config import NatsConfig
from fleetcron.dispatch.nats.identity import Nkey, new_seed
from fleetcron.errors import BadSettings
from nats_line import nats_line, until
from peers.nats import nats_peer

# The pair that NATS's own documentation of nkeys shows.
SEED = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
PUBLIC = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"


def test_a_seed_gives_the_public_key_that_nats_knows_it_by() -> None:
    assert Nkey(SEED).public == PUBLIC


def test_a_new_seed_is_one_of_a_user() -> None:
    seed = new_seed(secrets.token_bytes(32))
    assert seed.startswith("SU")
    assert len(seed) == len(SEED)
    assert Nkey(seed).public.startswith("U")


def test_a_signature_is_of_the_nonce_and_of_64_bytes() -> None:
    said = {Nkey(SEED).sign(nonce) for nonce in ("one", "two", "one")}
    assert len(said) == 2
    assert {len(base64.b64decode(one)) for one in said} == {64}


def test_a_key_does_not_show_its_seed() -> None:
    assert SEED not in repr(Nkey(SEED))


@pytest.mark.parametrize("seed", ["", "?", "SU", SEED[:-1] + "A", PUBLIC, "SA" + SEED[2:], SEED.lower()])
def test_what_is_no_seed_of_a_user_is_refused_and_not_repeated(seed: str) -> None:
    with pytest.raises(BadSettings) as refused:
        Nkey(seed)
    assert len(seed) < 3 or seed not in str(refused.value)


def test_a_server_lets_in_whose_nkey_it_knows_and_nobody_else(tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    own.write_text(SEED + "\n")
    other.write_text(new_seed(secrets.token_bytes(32)))

    async def is_let_in(file: Path, url: str) -> bool:
        config = NatsConfig(servers=(url,), nkey_seed_file=str(file), ack_wait_seconds=1.5)
        async with nats_line(config, shared=False) as line:
            await until(lambda: line.is_connected or "wrong user or password" in line.complaint)
            return line.is_connected

    with nats_peer(tmp_path, config=f"authorization {{ users: [ {{ nkey: {PUBLIC} }} ] }}") as nats:
        assert asyncio.run(is_let_in(own, nats.url))
        assert not asyncio.run(is_let_in(other, nats.url))
