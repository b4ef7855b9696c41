"""The service over https: with a certificate that the clients trust, and with nothing that is out of date."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ConnectionException
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdkworkspaceapp.v1 import ListScheduleTasksRequest, WorkspaceAppClient
from keystoneauth1 import session
from keystoneauth1.identity import v3

from certificates import self_signed
from running import Running, running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def secured(folder: Path) -> Iterator[Running]:
    """A service with a certificate that is its own authority."""
    certificate, key = self_signed(folder)
    files = {"FLEETCRON_TLS_CERTIFICATE": str(certificate), "FLEETCRON_TLS_KEY": str(key)}
    with running(folder, environment=files) as service:
        assert service.url.startswith("https://127.0.0.1:")
        yield service


@pytest.fixture(scope="module")
def authority(folder: Path, secured: Running) -> str:
    """The file of the certificate that clients are told to trust."""
    return str(folder / "loopback.pem")


def shaken(service: Running, context: ssl.SSLContext) -> str | None:
    url = httpx.URL(service.url)
    with (
        socket.create_connection((url.host, url.port or 443), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=url.host) as secure,
    ):
        return secure.version()


def test_a_password_gives_a_token_and_addresses_are_https(secured: Running, authority: str) -> None:
    auth = v3.Password(
        auth_url=f"{secured.url}/v3",
        username="admin",
        user_domain_name="default",
        password=secured.password,
        project_id=secured.project_id,
    )
    client = session.Session(auth=auth, verify=authority)
    assert client.get(f"{secured.project_url}/schedule-task").status_code == 200
    links = client.get(f"{secured.url}/v3").json()["version"]["links"]
    assert [link["href"].split(":")[0] for link in links] == ["https"]


def test_the_vendors_sdk_signs_and_verifies(secured: Running, authority: str) -> None:
    config = HttpConfig.get_default_config()
    config.ssl_ca_cert = authority
    client = (
        WorkspaceAppClient.new_builder()
        .with_http_config(config)
        .with_credentials(BasicCredentials(secured.access_key, secured.secret_key, secured.project_id))
        .with_endpoint(secured.url)
        .build()
    )
    assert client.list_schedule_tasks(ListScheduleTasksRequest()).count == 0


def test_who_does_not_trust_the_certificate_does_not_talk(secured: Running) -> None:
    with pytest.raises(httpx.ConnectError, match="certificate"):
        httpx.get(f"{secured.url}/v3", trust_env=False)
    client = (
        WorkspaceAppClient.new_builder()
        .with_credentials(BasicCredentials(secured.access_key, secured.secret_key, secured.project_id))
        .with_endpoint(secured.url)
        .build()
    )
    with pytest.raises(ConnectionException):
        client.list_schedule_tasks(ListScheduleTasksRequest())


def test_plain_http_gets_no_answer_and_does_no_harm(secured: Running, authority: str, folder: Path) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{secured.url.replace('https', 'http')}/v3", trust_env=False)
    trusting = ssl.create_default_context(cafile=authority)
    assert httpx.get(f"{secured.url}/v3", verify=trusting, trust_env=False).status_code == 200
    assert "Traceback" not in (folder / "log").read_text()


def test_tls_1_2_and_1_3_are_spoken_and_nothing_older(secured: Running, authority: str) -> None:
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.create_default_context(cafile=authority)
        context.minimum_version = context.maximum_version = version
        assert shaken(secured, context) == version.name.replace("_", ".")
    old = ssl.create_default_context(cafile=authority)
    # At OpenSSL's usual level it does not even offer these.
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        shaken(secured, old)


def test_half_a_pair_stops_the_start(tmp_path: Path) -> None:
    certificate, _ = self_signed(tmp_path)
    with (
        pytest.raises(AssertionError, match="FLEETCRON_TLS_KEY"),
        running(tmp_path, environment={"FLEETCRON_TLS_CERTIFICATE": str(certificate)}),
    ):
        pass
