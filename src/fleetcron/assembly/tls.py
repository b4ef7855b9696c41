"""TLS for the HTTP server: what is offered, and whether the files are good for it."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import NoReturn

from fleetcron.errors import BadSettings


def tls_context(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """How to serve https with this certificate (with its chain) and key, both PEM; None where neither is given.

    TLS 1.2 and newer, with the ciphers that Python advises; clients are not asked for certificates. The files are read
    now: a certificate that is renewed counts from the next start.

    Raises:
        BadSettings: one is given without the other, cannot be read, or they do not belong together; or the key
            needs a passphrase, which nobody could be asked for.
    """
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        missing = "FLEETCRON_TLS_CERTIFICATE" if certificate is None else "FLEETCRON_TLS_KEY"
        raise BadSettings(missing, "must be set: a certificate and its key go together")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        for path in (certificate, key):
            path.read_bytes()
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    except ssl.SSLError as error:
        raise BadSettings(str(key), f"is no key for {certificate}, or one of the two is not PEM: {error}") from error
    except OSError as error:
        raise BadSettings(str(error.filename), f"cannot be read: {error.strerror}") from error
    except _Locked:
        raise BadSettings(str(key), "needs a passphrase; give the service a key without one") from None
    return context


class _Locked(Exception):
    """The key asks for a passphrase; without this OpenSSL would ask the terminal, and wait for an answer."""


def _no_passphrase() -> NoReturn:
    raise _Locked
