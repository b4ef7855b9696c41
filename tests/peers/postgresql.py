"""A PostgreSQL of the tests' own: Debian's server, in a temporary folder, on a port of the loopback.

Where its programs are missing, the test that asked for it fails and says how to get them: a test that is skipped
would look like one that passed.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from builders import eventually
from peers.ports import free_ports

ROOT: Final = Path(__file__).resolve().parents[2]

COMMAND_SECONDS_MAX = 120.0
START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 60.0
ANSWER_SECONDS_MAX = 5
LOG_CHARACTERS_MAX = 4000

ADMIN = "postgres"
ROLE = "fleetcron"
PASSWORD = "of-fleetcron"
# The first that can sort as people do by default.
LOCALE_VERSION_MIN = 15

# PostgreSQL's own defaults are durable; what a test need not survive, it need not wait for.
FAST: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(kw_only=True)
class Postgresql:
    """A running PostgreSQL.

    The role ``fleetcron`` owns the databases and may do nothing else: what works here asks for no privilege of
    the service's. From version 15 on the default collation is en-US: what relies on the order of bytes has to say so.
    """

    port: int
    version: int
    programs: Path
    folder: Path
    settings: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def pid(self) -> int:
        """The process that was started, the parent of all others."""
        assert self.process is not None, "it is stopped"
        return self.process.pid

    def url(self, database: str) -> str:
        """The address of a database, for the role ``fleetcron``."""
        return self._url(ROLE, database)

    def admin_url(self, database: str = "postgres") -> str:
        """The address of a database, for the superuser."""
        return self._url(ADMIN, database)

    def create_database(self, *, template: str = "template1") -> str:
        """The address of a new database that is a copy of ``template``, to which nobody may be connected meanwhile."""
        name = f"test_{uuid.uuid4().hex}"
        command = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}")
        self._as_admin(command.format(sql.Identifier(name), sql.Identifier(ROLE), sql.Identifier(template)))
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Remove a database of ``create_database``, from under whoever is still connected to it."""
        self._as_admin(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(url.rpartition("/")[2])))

    def restart_immediately(self) -> None:
        """End it as a crash would, and start it again: it answers as soon as it has recovered from its log."""
        self.stop(signal.SIGQUIT)
        self.start()

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: in good order, but waiting for nobody's connection (SIGINT), or as a crash would (SIGQUIT)."""
        assert self.process is not None, "it is stopped"
        self.process.send_signal(how)
        self.process.wait(STOP_SECONDS_MAX)
        self.process = None

    def start(self) -> None:
        """Start it on the same port with the same rows; it answers when this returns."""
        assert self.process is None, "it is running"
        settings = [word for name, value in self.settings.items() for word in ("-c", f"{name}={value}")]
        command = [str(self.programs / "postgres"), "-D", str(self.folder / "cluster"), *settings]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=_variables(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C is for the tests; they end it.
                start_new_session=True,
                **_account(),
            )
        self._wait_until_it_answers()

    def _wait_until_it_answers(self) -> None:
        def answers() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, f"it ended with {self.process.returncode}"
            try:
                self._as_admin(sql.SQL("SELECT 1"))
            except psycopg.OperationalError:
                return False
            return True

        try:
            eventually(answers, seconds=START_SECONDS_MAX)
        except AssertionError as error:
            said = self.log.read_text(errors="replace")[-LOG_CHARACTERS_MAX:]
            raise AssertionError(f"PostgreSQL does not answer: {error}: {said}") from error

    def _as_admin(self, command: sql.SQL | sql.Composed) -> None:
        with psycopg.connect(self.admin_url(), autocommit=True, connect_timeout=ANSWER_SECONDS_MAX) as connection:
            connection.execute(command)

    def _url(self, role: str, database: str) -> str:
        return f"postgresql://{role}:{PASSWORD}@127.0.0.1:{self.port}/{database}"


@contextmanager
def postgresql_peer(
    folder: Path, *, port: int | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[Postgresql]:
    """Start a PostgreSQL whose log is in ``folder``, and end it again; no other process of its own is left.

    Its rows are not in ``folder``: PostgreSQL refuses to run as root, and who it then runs as cannot reach pytest's
    folders. They are where temporary files go (TMPDIR), until the block ends. ``settings`` are PostgreSQL's own,
    FAST for instance; without them every commit is on the disk before it is answered.
    """
    programs = _programs()
    with _home() as home:
        port = free_ports(1)[0] if port is None else port
        version = _version(programs)
        _found(programs, home, version)
        here = {"listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": ""}
        postgresql = Postgresql(
            port=port,
            version=version,
            programs=programs,
            folder=home,
            settings=here | {"max_connections": "200"} | dict(settings or {}),
            log=folder.resolve() / "log",
        )
        try:
            postgresql.start()
            role = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(ROLE), sql.Literal(PASSWORD))
            postgresql._as_admin(role)
            yield postgresql
        finally:
            if postgresql.process is not None:
                # Nobody will read these rows again, so nothing needs to be written down in good order.
                postgresql.stop(signal.SIGQUIT)


def _programs() -> Path:
    """Where the server's programs are; ``scripts/peers.py`` knows, and says how to get them where they are not."""
    asked = [sys.executable, str(ROOT / "scripts" / "peers.py"), "--found"]
    return Path(_run(asked, {}).strip())


def _version(programs: Path) -> int:
    """The major version: 15 of ``postgres (PostgreSQL) 15.18 (Debian …)``."""
    return int(_run([str(programs / "postgres"), "--version"], {}).split()[2].partition(".")[0])


@contextmanager
def _home() -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="fleetcron-postgresql-"))
    try:
        account = _account()
        if account:
            os.chown(home, account["user"], account["group"])
        yield home
    finally:
        shutil.rmtree(home)


def _found(programs: Path, home: Path, version: int) -> None:
    """Make the cluster's files, and its superuser's password, who is asked for it on every connection."""
    password = home / "password"
    password.write_text(PASSWORD)
    people = ["--username", ADMIN, "--pwfile", str(password), "--auth", "scram-sha-256"]
    texts = ["--encoding", "UTF8", "--locale", "C.UTF-8"]
    if version >= LOCALE_VERSION_MIN:
        texts += ["--locale-provider", "icu", "--icu-locale", "en-US"]
    initdb = [str(programs / "initdb"), "--pgdata", str(home / "cluster"), "--no-sync", "--no-instructions"]
    _run([*initdb, *people, *texts], _account(), cwd=home)


def _account() -> dict[str, Any]:
    """Who the server runs as, for ``subprocess``: whoever runs the tests, but somebody else than root."""
    if os.geteuid() != 0:
        return {}
    entries = {entry.pw_name: entry for entry in pwd.getpwall()}
    account = entries.get("postgres") or entries["nobody"]
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _run(command: Sequence[str], account: Mapping[str, Any], *, cwd: Path | None = None) -> str:
    """What a command says; where it fails, that it failed and what it said."""
    done: subprocess.CompletedProcess[str] = subprocess.run(
        command,
        cwd=cwd,
        env=_variables(),
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS_MAX,
        check=False,
        **account,
    )
    said = done.stderr[-LOG_CHARACTERS_MAX:]
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}: {said}"
    return done.stdout


def _variables() -> dict[str, str]:
    """The environment's variables without those that would tell PostgreSQL where to be or how to speak."""
    foreign = ("PG", "LC_", "LANG")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
