"""How NATS is reached, and how what is ours is named there."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

import msgspec

from fleetcron.domain.execution import Reference
from fleetcron.errors import BadSettings

DEFAULT_PREFIX: Final = "fleet"
RECORDER: Final = "recorder"
BEATS_PER_ACK_WAIT: Final = 3


class NatsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where NATS is and who we are there: a user with a password, the file of an nkey's seed, or one of credentials.

    ``ack_wait_seconds`` is how long a silent worker keeps a command from others; every node has to say the same.
    ``replicas`` is 1, or 3 in a cluster. ``prefix`` is the first word of every subject.

    Raises:
        BadSettings: the ways to say who we are are mixed, or something that belongs together is half there.
    """

    servers: tuple[str, ...] = ("nats://127.0.0.1:4222",)
    user: str | None = None
    password: str | None = None
    nkey_seed_file: str | None = None
    credentials_file: str | None = None
    tls_ca: str | None = None
    tls_certificate: str | None = None
    tls_key: str | None = None
    replicas: int = 1
    prefix: str = DEFAULT_PREFIX
    ack_wait_seconds: float = 6.0

    def __post_init__(self) -> None:
        if not self.servers:
            raise BadSettings("servers", "names no server")
        if any("@" in server for server in self.servers):
            # An address is logged; what is in it would be, too.
            raise BadSettings("servers", "an address may not name a user: that is user and password")
        if (self.user is None) != (self.password is None):
            raise BadSettings("user", "goes with password, and password with user")
        if sum(way is not None for way in (self.user, self.nkey_seed_file, self.credentials_file)) > 1:
            raise BadSettings("user", "only one of user, nkey_seed_file and credentials_file may be given")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise BadSettings("tls_certificate", "goes with tls_key, and tls_key with tls_certificate")
        if self.replicas not in (1, 3, 5):
            raise BadSettings("replicas", "must be 1, 3 or 5")
        if not 1.0 <= self.ack_wait_seconds <= 600.0:  # noqa: PLR2004  (the figures are in the message)
            raise BadSettings("ack_wait_seconds", "must be from 1 to 600")
        if not is_token(self.prefix):
            raise BadSettings("prefix", "must be 1 to 32 letters, digits, _ and -")

    @property
    def beat_seconds(self) -> float:
        """How often whoever holds a message says that it does."""
        return self.ack_wait_seconds / BEATS_PER_ACK_WAIT

    def __repr__(self) -> str:
        return f"NatsConfig(servers={self.servers!r}, user={self.user!r}, replicas={self.replicas})"

    @property
    def subjects(self) -> Subjects:
        """The names of what is ours."""
        return Subjects(self.prefix)

    def tls(self) -> ssl.SSLContext | None:
        """What the servers' certificates are checked with; None leaves it to their addresses whether there is TLS.

        Raises:
            BadSettings: a file cannot be used.
        """
        if self.tls_ca is None and self.tls_certificate is None:
            return None
        try:
            context = ssl.create_default_context(cafile=self.tls_ca)
            if self.tls_certificate is not None:
                context.load_cert_chain(self.tls_certificate, self.tls_key)
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(filter(None, (self.tls_ca, self.tls_certificate, self.tls_key)))
            raise BadSettings("tls_ca", f"cannot use {files}: {error}") from error
        return context

    def seed(self) -> str | None:
        """The seed of the nkey that we sign with, where there is one.

        Raises:
            BadSettings: the file cannot be read.
        """
        if self.nkey_seed_file is not None:
            return _read("nkey_seed_file", self.nkey_seed_file).strip()
        return None if self.credentials_file is None else _part(self.credentials_file, "USER NKEY SEED")

    def token(self) -> str | None:
        """The signed statement of who we are, where there is one.

        Raises:
            BadSettings: the file cannot be read.
        """
        return None if self.credentials_file is None else _part(self.credentials_file, "NATS USER JWT")


class Subjects:
    """The names of streams, consumers and subjects under one prefix."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.commands = "COMMANDS" if prefix == DEFAULT_PREFIX else f"COMMANDS_{prefix}"
        self.events = "EVENTS" if prefix == DEFAULT_PREFIX else f"EVENTS_{prefix}"
        self.every_command = f"{prefix}.command.>"
        self.every_event = f"{prefix}.event.>"

    def command(self, site: str, driver: str, reference: Reference) -> str:
        """Where one subtask's command is published: one at a time can be there."""
        return f"{self.prefix}.command.{site}.{driver}.{reference[0]}.{reference[1]}"

    def commands_of(self, site: str) -> str:
        """Every command for a site."""
        return f"{self.prefix}.command.{site}.>"

    def wherever(self, reference: Reference) -> str:
        """One subtask's command, whichever site it is for."""
        return f"{self.prefix}.command.*.*.{reference[0]}.{reference[1]}"

    def of_execution(self, execution_id: str) -> str:
        """The commands of an execution, whichever sites they are for."""
        return f"{self.prefix}.command.*.*.{execution_id}.>"

    def event(self, site: str, worker: str) -> str:
        """Where a worker says what happened."""
        return f"{self.prefix}.event.{site}.{worker}"

    def verdict(self, site: str, worker: str) -> str:
        """Where a worker is answered."""
        return f"{self.prefix}.verdict.{site}.{worker}"

    def site_of(self, event_subject: str) -> str:
        """The site of the worker who published to this subject."""
        return event_subject.split(".")[2]

    def answers_to(self, event_subject: str) -> str:
        """Where the worker who published to this subject is answered."""
        _, _, site, worker = event_subject.split(".")
        return self.verdict(site, worker)


def is_token(text: str) -> bool:
    """Whether this can be a part of a subject: a site, a driver, a worker."""
    return 1 <= len(text) <= 32 and text.isascii() and text.replace("_", "a").replace("-", "a").isalnum()  # noqa: PLR2004  (the length is the house's)


def inbox_prefix(site: str) -> str:
    """What a worker's own subjects for answers begin with: no other site may listen there."""
    return f"_INBOX_{site}"


def _part(name: str, title: str) -> str:
    """What stands under a title in a file of credentials."""
    lines = iter(_read("credentials_file", name).splitlines())
    for line in lines:
        if f"BEGIN {title}" in line:
            return next(lines, "").strip()
    raise BadSettings("credentials_file", f"{name} has no {title}")


def _read(where: str, name: str) -> str:
    try:
        return Path(name).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(where, f"cannot read {name}: {error}") from error
