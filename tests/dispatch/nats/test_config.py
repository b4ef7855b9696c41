from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from certificates import self_signed
from fleetcron.dispatch.nats.config import NatsConfig, Subjects, inbox_prefix, is_token
from fleetcron.errors import BadSettings


def test_secrets_are_not_shown() -> None:
    assert "hidden" not in repr(NatsConfig(user="me", password="hidden"))


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"servers": ()}, "servers"),
        ({"servers": ("nats://me:hidden@127.0.0.1:4222",)}, "servers"),
        ({"user": "me"}, "user"),
        ({"password": "hidden"}, "user"),
        ({"user": "me", "password": "hidden", "nkey_seed_file": "f"}, "user"),
        ({"nkey_seed_file": "f", "credentials_file": "g"}, "user"),
        ({"tls_certificate": "c"}, "tls_certificate"),
        ({"tls_key": "k"}, "tls_certificate"),
        ({"replicas": 2}, "replicas"),
        ({"ack_wait_seconds": 0.5}, "ack_wait_seconds"),
        ({"prefix": "a.b"}, "prefix"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name_and_its_secrets_are_not_repeated(
    given: dict[str, object], where: str
) -> None:
    with pytest.raises(BadSettings) as refused:
        NatsConfig(**given)  # type: ignore[arg-type]  # what is wrong is the point
    assert refused.value.where == where
    assert "hidden" not in str(refused.value)


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="colour"):
        msgspec.convert({"colour": "blue"}, NatsConfig)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    for config in (NatsConfig(nkey_seed_file=missing), NatsConfig(credentials_file=missing)):
        with pytest.raises(BadSettings, match="missing"):
            config.seed()
    with pytest.raises(BadSettings, match="missing"):
        NatsConfig(tls_ca=missing).tls()


def test_credentials_hold_a_token_and_a_seed(tmp_path: Path) -> None:
    file = tmp_path / "creds"
    file.write_text(
        "-----BEGIN NATS USER JWT-----\nhead.body.tail\n------END NATS USER JWT------\n\n"
        "-----BEGIN USER NKEY SEED-----\nSUSEED\n------END USER NKEY SEED------\n"
    )
    config = NatsConfig(credentials_file=str(file))
    assert (config.token(), config.seed()) == ("head.body.tail", "SUSEED")
    file.write_text("-----BEGIN NATS USER JWT-----\nhead.body.tail\n")
    with pytest.raises(BadSettings, match="USER NKEY SEED"):
        config.seed()


def test_a_certificate_of_our_own_is_shown_and_the_servers_is_checked(tmp_path: Path) -> None:
    certificate, key = map(str, self_signed(tmp_path))
    context = NatsConfig(tls_ca=certificate, tls_certificate=certificate, tls_key=key).tls()
    assert context is not None
    assert context.check_hostname
    assert NatsConfig().tls() is None


def test_one_prefix_shares_no_name_with_another() -> None:
    def names(subjects: Subjects) -> set[str]:
        return {
            subjects.commands,
            subjects.events,
            subjects.every_command,
            subjects.every_event,
            subjects.command("here", "simulated", ("e1", 1)),
            subjects.event("here", "w1"),
            subjects.verdict("here", "w1"),
        }

    assert len(names(Subjects("fleet")) | names(Subjects("test"))) == 14


def test_an_event_is_answered_where_its_worker_listens() -> None:
    subjects = Subjects("fleet")
    assert subjects.answers_to(subjects.event("here", "w1")) == subjects.verdict("here", "w1")


@pytest.mark.parametrize("name", ["a", "A-b_9", "x" * 32])
def test_a_name_of_letters_digits_and_dashes_can_be_a_part_of_a_subject(name: str) -> None:
    assert is_token(name)
    assert "." not in inbox_prefix(name)


@pytest.mark.parametrize("name", ["", "a.b", "*", ">", "a b", "é", "x" * 33, "a\n"])
def test_another_name_cannot(name: str) -> None:
    assert not is_token(name)
