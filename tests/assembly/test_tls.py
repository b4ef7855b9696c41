"""What https is served with, and which files are refused."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from certificates import self_signed
from fleetcron.assembly.tls import tls_context
from fleetcron.errors import BadSettings


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> str | None:
    """Let a client and a server meet without a network; gives the version that they agree on."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    there = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(10):
        waiting = 0
        for side in (here, there):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                waiting += 1
        if not waiting:
            return here.version()
    raise AssertionError("they never finish")


def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate)


def test_without_a_certificate_there_is_no_tls() -> None:
    assert tls_context(None, None) is None


def test_who_trusts_the_certificate_is_served_by_the_newest_version(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    server = tls_context(certificate, key)
    assert server is not None
    assert shake_hands(server, trusting(certificate)) == "TLSv1.3"


def test_tls_1_2_is_served_and_nothing_older(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    server = tls_context(certificate, key)
    assert server is not None
    client = trusting(certificate)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    assert shake_hands(server, client) == "TLSv1.2"
    assert server.minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_stranger_does_not_trust_it(tmp_path: Path) -> None:
    server = tls_context(*self_signed(tmp_path))
    assert server is not None
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(server, ssl.create_default_context())


def test_half_a_pair_is_refused_and_names_what_is_missing(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    with pytest.raises(BadSettings, match="FLEETCRON_TLS_KEY"):
        tls_context(certificate, None)
    with pytest.raises(BadSettings, match="FLEETCRON_TLS_CERTIFICATE"):
        tls_context(None, key)


def test_files_that_cannot_be_meant_are_refused_with_their_place(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    _, stranger = self_signed(tmp_path, name="stranger")
    _, locked = self_signed(tmp_path, name="locked", passphrase=b"hush")
    nonsense = tmp_path / "nonsense"
    nonsense.write_text("nonsense")
    for pair, words in (
        ((tmp_path / "nowhere", key), "nowhere"),
        ((certificate, tmp_path), "cannot be read"),
        ((certificate, stranger), "stranger"),
        ((certificate, nonsense), "nonsense"),
        ((nonsense, key), "nonsense"),
        ((certificate, locked), "passphrase"),
    ):
        with pytest.raises(BadSettings, match=words):
            tls_context(*pair)
