"""Where the service is and who asks, out of the environment: a client that is ready to call."""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Final

import httpx
import typer

from fleetcron.cli.client import TIMEOUT_SECONDS, Client, Reply
from fleetcron.cli.exits import Exit, Failure, Misuse
from fleetcron.cli.options import Place
from fleetcron.wire import signature
from fleetcron.wire.tokens import SUBJECT_TOKEN

TOKEN: Final = "X-Auth-Token"  # noqa: S105  (the header's name)
SECURITY_TOKEN: Final = "X-Security-Token"  # noqa: S105  (the same)
DOMAIN = "default"
USER = "admin"
HOST = "127.0.0.1"
PORT = "8774"

NOBODY = """\
nobody is signed in. Set one of:
  FLEETCRON_TOKEN                                   a token (fleetcron token issue)
  FLEETCRON_ACCESS_KEY and FLEETCRON_SECRET_KEY     an access key (fleetcron key create),
    and FLEETCRON_SECURITY_TOKEN                    if it is a temporary one
  FLEETCRON_PASSWORD, and FLEETCRON_USER if it is not admin
The file that `fleetcron serve --sign-in-file FILE` writes does: `. FILE`."""


class KeyPair(httpx.Auth):
    """Signs each request with an access key."""

    requires_request_body = True

    def __init__(self, access_key: str, secret_key: str) -> None:
        self._access_key = access_key
        self._secret_key = secret_key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the two headers that make the signature."""
        path, _, query = request.url.raw_path.partition(b"?")
        covered = [(name.lower(), value) for name, value in request.headers.raw if name.lower() in _COVERED]
        whole = signature.Request(method=request.method, path=path, query=query, headers=covered, body=request.content)
        request.headers.update(
            signature.sign(whole, access_key=self._access_key, secret=self._secret_key, now=datetime.now(UTC))
        )
        yield request


@contextmanager
def signed_in(place: Place | None = None) -> Iterator[Client]:
    """A client for one command, signed in by a token, else by an access key, else by a password.

    A user who is named with a password, and is not the administrator, comes before an access key: that is often the
    administrator's, out of a sign-in file.

    Raises:
        Failure: nobody is signed in, or the service does not take it.
        Misuse: a user is named without a password, beside an access key that may be somebody else's.
    """
    with _http() as http:
        client = Client(http, place.project if place else None)
        token = os.environ.get("FLEETCRON_TOKEN")
        if token:
            http.headers[TOKEN] = token
            yield client
        elif pair := _key_pair():
            http.auth = pair
            security_token = os.environ.get("FLEETCRON_SECURITY_TOKEN")
            if security_token:
                http.headers[SECURITY_TOKEN] = security_token
            yield client
        else:
            with _own_token(http, client):
                yield client


@contextmanager
def stranger() -> Iterator[Client]:
    """A client that has not signed in: good for signing in."""
    with _http() as http:
        yield Client(http, None)


def issue(client: Client, project_id: str | None) -> Reply:
    """Sign in by password, for one project or (None) for the whole account; the token is in the answer's headers.

    Raises:
        Failure: no password is known, or it is wrong.
    """
    user = os.environ.get("FLEETCRON_USER") or USER
    domain = {"name": DOMAIN}
    password = {"user": {"name": user, "domain": domain, "password": _password(user)}}
    scope = {"project": {"id": project_id}} if project_id else {"domain": domain}
    auth = {"identity": {"methods": ["password"], "password": password}, "scope": scope}
    return client.call("KeystoneCreateUserTokenByPassword", body={"auth": auth})


def address() -> str:
    """The service's base URL. One that listens on every address of this machine is called at the loopback's."""
    url = os.environ.get("FLEETCRON_URL")
    if url:
        return url.rstrip("/")
    host = os.environ.get("FLEETCRON_HOST") or HOST
    host = _EVERYWHERE.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{os.environ.get('FLEETCRON_PORT') or PORT}"


_EVERYWHERE: Final = {"0.0.0.0": HOST, "::": "::1"}  # noqa: S104  (to be translated, not to be bound)
# What a proxy or the HTTP library may add later must stay out of the signature.
_COVERED: Final = {b"host", b"content-type", SECURITY_TOKEN.lower().encode()}


def _key_pair() -> KeyPair | None:
    """The access key of the environment, unless somebody else is meant to ask."""
    access_key, secret_key = os.environ.get("FLEETCRON_ACCESS_KEY"), os.environ.get("FLEETCRON_SECRET_KEY")
    if not (access_key and secret_key):
        return None
    user = os.environ.get("FLEETCRON_USER") or USER
    if user == USER:
        return KeyPair(access_key, secret_key)
    if os.environ.get("FLEETCRON_PASSWORD"):
        return None
    raise Misuse(
        f"FLEETCRON_USER is {user}, but FLEETCRON_ACCESS_KEY may be somebody else's: "
        "set FLEETCRON_PASSWORD, or unset one of the two"
    )


def _http() -> httpx.Client:
    try:
        url = httpx.URL(address())
    except httpx.InvalidURL as error:
        raise Misuse(f"FLEETCRON_URL is not an address: {error}") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise Misuse(f"FLEETCRON_URL is not an address: {url} should be like http://{HOST}:{PORT}")
    # A proxy of the environment is for the world outside; it could not reach this machine's own loopback.
    trust_env = not _is_loopback(url.host)
    return httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS, trust_env=trust_env, verify=_trusted())


def _trusted() -> ssl.SSLContext | bool:
    """The authorities of FLEETCRON_CA_FILE; True for the usual ones."""
    file = os.environ.get("FLEETCRON_CA_FILE")
    if not file:
        return True
    try:
        return ssl.create_default_context(cafile=file)
    except OSError as error:
        raise Misuse(f"FLEETCRON_CA_FILE cannot be read as certificates in PEM: {file}: {error}") from error


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def _own_token(http: httpx.Client, client: Client) -> Iterator[None]:
    """Call with a token that nobody else knows, and end it with the command."""
    token = issue(client, project_id=None).headers[SUBJECT_TOKEN]
    http.headers[TOKEN] = token
    try:
        yield
    finally:
        # It may have ended already: with a new password, all of a user's tokens do.
        with suppress(Failure):
            client.call("KeystoneRevokeToken", headers={SUBJECT_TOKEN: token})


def _password(user: str) -> str:
    names = ("FLEETCRON_PASSWORD", "FLEETCRON_ADMIN_PASSWORD") if user == USER else ("FLEETCRON_PASSWORD",)
    known = next((password for name in names if (password := os.environ.get(name))), None)
    if known is not None:
        return known
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Failure(Exit.UNAUTHENTICATED, NOBODY)
    return str(typer.prompt(f"Password of {user}", hide_input=True, err=True))
