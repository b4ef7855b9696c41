"""Where the line is: what the settings file says, and what the URLs say over it."""

from __future__ import annotations

import pytest

from fleetcron.assembly.lines import nats_config
from fleetcron.dispatch.nats.config import NatsConfig
from fleetcron.errors import BadSettings


def test_urls_name_the_servers_and_the_rest_stays_as_the_file_says() -> None:
    said = NatsConfig(servers=("nats://old:4222",), user="worker", password="hush", replicas=3)
    config = nats_config(said, "nats://one:4222, tls://two:4223")
    assert config.servers == ("nats://one:4222", "tls://two:4223")
    assert (config.user, config.password, config.replicas) == ("worker", "hush", 3)
    assert nats_config(said, None) is said


def test_a_user_in_the_url_takes_the_place_of_the_files() -> None:
    said = NatsConfig(credentials_file="site.creds")
    config = nats_config(said, "nats://north:p%40ss@one:4222,nats://north:p%40ss@two:4222")
    assert config.servers == ("nats://one:4222", "nats://two:4222")
    assert (config.user, config.password, config.credentials_file) == ("north", "p@ss", None)


@pytest.mark.parametrize(
    "urls", ["one:4222", "http://one:4222", "nats://hush:hush@one:nan", "nats://hush@one:4222", "nats://a:4222,"]
)
def test_urls_that_cannot_be_meant_are_refused_without_saying_them(urls: str) -> None:
    with pytest.raises(BadSettings) as refusal:
        nats_config(None, urls)
    assert "hush" not in str(refusal.value)


def test_nothing_said_is_refused_with_both_ways_to_say_it() -> None:
    with pytest.raises(BadSettings, match=r"FLEETCRON_NATS: .*\[nats\]"):
        nats_config(None, None)
