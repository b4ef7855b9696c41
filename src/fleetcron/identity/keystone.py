"""Tokens that a Keystone gave, checked with it through OpenStack's own client library."""

from __future__ import annotations

import logging
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from keystoneauth1 import access, adapter, exceptions, session
from keystoneauth1.identity import v3

from fleetcron.errors import BadSettings, StaleToken, Unauthenticated, Unavailable
from fleetcron.identity.contract import KeystoneConfig, Validated

log = logging.getLogger(__name__)

TOKEN_LENGTH_MAX = 4096
PASSWORD_LENGTH_MAX = 4096

# Without the catalogue, which is most of the answer and says nothing that is asked here.
_CHECK: Final = "/auth/tokens?nocatalog=1"
# Keystone says "not found" of whatever does not hold; only this tells what has run out from what never was.
_EXPIRED_TOO: Final = "&allow_expired=1"


class KeystoneIdentity:
    """Asks a Keystone, every time, about every token.

    A check is one exchange, five at worst (refused, sign in, check, ask why not, and one of them twice); for each the
    Keystone has ``answer_seconds_max`` to be connected to, and as long between two pieces of its answer. Proxies and
    certificates of the environment are not heeded: what counts is what is set.

    Raises:
        BadSettings: the password's file cannot be read, or is empty.
    """

    def __init__(self, config: KeystoneConfig) -> None:
        own_credentials = v3.Password(
            auth_url=config.url,
            username=config.user,
            password=_password(config),
            project_name=config.project,
            user_domain_name=config.domain,
            project_domain_name=config.domain,
            include_catalog=False,
        )
        talk = session.Session(
            auth=own_credentials,
            verify=config.ca_file or True,
            timeout=config.answer_seconds_max,
            redirect=False,
            app_name="fleetcron",
        )
        talk.session.trust_env = False
        self._keystone = adapter.Adapter(
            talk, endpoint_override=config.url.rstrip("/"), connect_retries=0, status_code_retries=0
        )

    def validate(self, token: str, now: datetime) -> Validated:
        """Ask Keystone; see ``Identity.validate``."""
        if not (token.isascii() and token.isprintable() and 0 < len(token) <= TOKEN_LENGTH_MAX):
            # It would become a header; nothing is sent.
            raise Unauthenticated("decrypt token fail")
        said = self._ask(token)
        if said is None:
            raise self._why(token)
        if said.expires_at <= now:
            # Its clock may be behind ours.
            raise StaleToken("The token must be updated.")
        return said

    def _why(self, token: str) -> Unauthenticated:
        if self._ask(token, _EXPIRED_TOO) is None:
            return Unauthenticated("decrypt token fail")
        return StaleToken("The token must be updated.")

    def _ask(self, token: str, more: str = "") -> Validated | None:
        """What Keystone says of a token; None if it does not hold.

        Raises:
            Unavailable: whatever else happens: a caller is never blamed for what is wrong between us and Keystone.
        """
        try:
            return _read(self._get(_CHECK + more, token))
        except exceptions.NotFound as error:
            if error.response is not None and error.response.request.method == "GET":
                return None
            raise Unavailable("Keystone is not where fleetcron was told to find it") from error
        except (exceptions.Unauthorized, exceptions.Forbidden) as error:
            log.error("Keystone refuses fleetcron itself: see user, password and project: %s", error)  # noqa: TRY400  (the reason is enough)
            raise Unavailable("Keystone does not let fleetcron check tokens") from error
        except (exceptions.ClientException, ValueError, LookupError, TypeError, AttributeError) as error:
            raise Unavailable(f"Keystone does not answer: {type(error).__name__}") from error

    def _get(self, path: str, token: str) -> Any:  # noqa: ANN401  (the library publishes few types)
        headers = {"X-Subject-Token": token}
        try:
            return self._keystone.get(path, headers=headers, log=False)
        except exceptions.ConnectTimeout:
            raise
        except exceptions.ConnectFailure:
            # It may have closed an idle connection at the very moment in which that was used again.
            return self._keystone.get(path, headers=headers, log=False)


def _read(answer: Any) -> Validated:  # noqa: ANN401  (the library publishes few types)
    """What an answer says, read whole at once so that a strange one fails here."""
    said = access.create(resp=answer)
    if answer.status_code != HTTPStatus.OK or not isinstance(said, access.AccessInfoV3):
        raise ValueError("this is not how a Keystone says a token")
    expires_at = said.expires
    if expires_at is None:
        raise ValueError("it is not said when the token expires")
    return Validated(
        user_id=_text(said.user_id),
        user_name=_text(said.username),
        # A token for a whole domain or system has roles, too, but not in a project.
        project_id=None if said.project_id is None else _text(said.project_id),
        roles=frozenset(map(_text, said.role_names or ())) if said.project_id else frozenset(),
        expires_at=expires_at,
    )


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("text is missing")
    return value


def _password(config: KeystoneConfig) -> str:
    where = config.password_file
    try:
        password = Path(where).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise BadSettings(where, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise BadSettings(where, "is not text in UTF-8") from None
    if not 0 < len(password) <= PASSWORD_LENGTH_MAX:
        raise BadSettings(where, f"must hold a password of 1 to {PASSWORD_LENGTH_MAX} characters")
    return password
