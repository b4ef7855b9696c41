"""A Keystone that OpenStack wrote: it issues, validates and revokes tokens as a cloud's own does.

It stands in an environment of its own (``keystone.lock``), made once in a checkout and then found again.
Where that cannot be made, or Keystone does not start, the test that asked for it fails: a test that is
skipped would look like one that passed.
"""

from __future__ import annotations

import fcntl
import grp
import hashlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from builders import eventually

ROOT: Final = Path(__file__).resolve().parents[2]
LOCK: Final = Path(__file__).with_name("keystone.lock")

MAKE_SECONDS_MAX = 200.0
COMMAND_SECONDS_MAX = 60.0
START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 15.0
ANSWER_SECONDS_MAX = 15.0
LOG_CHARACTERS_MAX = 4000

ADMIN = "admin"
ADMIN_PASSWORD = "a password for the cloud's administrator"
DOMAIN = "default"

# Keystone first reads and then writes in one transaction, and to two of those at once SQLite says "database is locked",
# however long they would wait. So one thread answers; gthread, because its idle connections keep nobody waiting.
THREADS = 1
# The lowest that bcrypt knows: a token then costs 25 ms, not 300.
HASH_ROUNDS = 4


@dataclass(frozen=True, kw_only=True)
class Keystone:
    """A running Keystone: where it is, and what its administrator does there.

    ``url`` ends in ``/v3``. The administrator ``admin`` has the role ``admin`` in the project ``admin``. The
    roles ``admin``, ``manager``, ``member``, ``reader`` and ``service`` exist; who has one of the first three
    has those after it up to ``reader``, too. Every user and project is in the domain ``default``, which is
    the id; its name is ``Default``.

    Every deed raises ``httpx.HTTPError`` where Keystone refuses it or does not answer in ANSWER_SECONDS_MAX.
    """

    url: str
    admin_password: str
    process: subprocess.Popen[bytes]
    client: httpx.Client = field(repr=False)

    def create_project(self, name: str) -> str:
        """A new project's id."""
        made = self._as_admin("POST", "/projects", {"project": {"name": name, "domain_id": DOMAIN}})
        return str(made["project"]["id"])

    def create_user(self, name: str, password: str) -> str:
        """A new user's id; it may do nothing yet."""
        made = self._as_admin("POST", "/users", {"user": {"name": name, "password": password, "domain_id": DOMAIN}})
        return str(made["user"]["id"])

    def disable_user(self, user_id: str) -> None:
        """Shut a user out; its tokens are revoked by that."""
        self._as_admin("PATCH", f"/users/{user_id}", {"user": {"enabled": False}})

    def assign(self, user_id: str, project_id: str, role: str = "member") -> None:
        """Give a user a role, by its name, in a project."""
        (found,) = self._as_admin("GET", f"/roles?name={role}")["roles"]
        self._as_admin("PUT", f"/projects/{project_id}/users/{user_id}/roles/{found['id']}")

    def issue(self, user_name: str, password: str, project_id: str) -> str:
        """A token of this user's for the project."""
        return self._issue(user_name, password, {"id": project_id})

    def validate(self, token: str) -> dict[str, Any] | None:
        """What Keystone says that the token stands for, under its key ``token``; None if it holds no longer."""
        answer = self._ask("GET", "/auth/tokens", self._admin_token(), headers={"X-Subject-Token": token})
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        said: dict[str, Any] = answer.raise_for_status().json()["token"]
        return said

    def revoke(self, token: str) -> None:
        """End a token."""
        self._ask("DELETE", "/auth/tokens", token, headers={"X-Subject-Token": token}).raise_for_status()

    def _as_admin(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        answer = self._ask(method, path, self._admin_token(), body=body).raise_for_status()
        said: dict[str, Any] = answer.json() if answer.content else {}
        return said

    def _admin_token(self) -> str:
        return self._issue(ADMIN, self.admin_password, {"name": ADMIN, "domain": {"id": DOMAIN}})

    def _issue(self, user_name: str, password: str, project: dict[str, Any]) -> str:
        user = {"name": user_name, "password": password, "domain": {"id": DOMAIN}}
        identity = {"methods": ["password"], "password": {"user": user}}
        body = {"auth": {"identity": identity, "scope": {"project": project}}}
        return str(self._ask("POST", "/auth/tokens", None, body=body).raise_for_status().headers["X-Subject-Token"])

    def _ask(
        self, method: str, path: str, token: str | None, *, body: object = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        asker = {} if token is None else {"X-Auth-Token": token}
        return self.client.request(method, self.url + path, json=body, headers=asker | (headers or {}))


@contextmanager
def keystone_peer(folder: Path) -> Iterator[Keystone]:
    """Start a Keystone on a free port of the loopback, with everything that it writes in ``folder``, and end it again.

    It answers when the block begins; it and its children are gone when the block ends.
    """
    programs = environment_of(LOCK) / "bin"
    folder = folder.resolve()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v3"
        _found(programs, folder, url)
        process = _start(programs, folder, listening)
    try:
        with httpx.Client(timeout=ANSWER_SECONDS_MAX, trust_env=False) as client:
            _wait_until_it_answers(url, process, folder / "log")
            yield Keystone(url=url, admin_password=ADMIN_PASSWORD, process=process, client=client)
    finally:
        end(process)


@contextmanager
def asleep(keystone: Keystone) -> Iterator[None]:
    """A Keystone that takes connections and does not answer: its processes are stopped."""
    listed = subprocess.run(["pgrep", "-g", str(keystone.process.pid)], capture_output=True, text=True, check=True)
    processes = [int(number) for number in listed.stdout.split()]
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)


def end(process: subprocess.Popen[bytes], *, grace_seconds: float = STOP_SECONDS_MAX) -> None:
    """End a process that leads a session of its own, and whatever is in that session after the grace."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(grace_seconds)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(grace_seconds)


def environment_of(lock: Path) -> Path:
    """The environment that a lock describes, made if it is not there; its programs are in ``bin``.

    Whoever else wants it at this moment, in another process too, waits until it is whole; what a killed maker left
    half done is made anew.
    """
    digest = hashlib.sha256(lock.read_bytes() + f"{sys.version}{sys.base_prefix}".encode()).hexdigest()[:16]
    environment = ROOT / ".tools" / f"{lock.stem}-{digest}"
    # Written last: an environment without it is not whole. It cannot be made elsewhere and moved, for its programs
    # name their interpreter by its full path.
    whole = environment / "whole"
    environment.parent.mkdir(exist_ok=True)
    with environment.with_suffix(".making").open("w") as making:
        # The kernel opens this lock when its last holder dies, however it dies. The installer holds it too: one that
        # has outlived its caller would write into the environment that the next caller makes.
        fcntl.flock(making, fcntl.LOCK_EX)
        if not whole.exists():
            if environment.exists():
                shutil.rmtree(environment)
            _make(environment, lock, making.fileno())
            whole.touch()
    return environment


def _make(environment: Path, lock: Path, making: int) -> None:
    uv = _run([sys.executable, str(ROOT / "scripts" / "bootstrap.py")], seconds=MAKE_SECONDS_MAX).strip()
    python = str(environment / "bin" / "python")
    _run([uv, "venv", "--quiet", "--python", sys.executable, str(environment)], held=(making,))
    # Without compiled code each of the commands below takes twice as long, every time.
    install = [uv, "pip", "sync", "--quiet", "--python", python, "--require-hashes", "--no-build", "--compile-bytecode"]
    _run([*install, str(lock)], seconds=MAKE_SECONDS_MAX, held=(making,))


def _found(programs: Path, folder: Path, url: str) -> None:
    """Write down the settings, and make the tables, the keys, the administrator and the roles.

    With the cache a token is checked in 10 ms and not in 100; it is the one process's own, so what is revoked is
    forgotten at once.
    """
    for keys in ("fernet", "receipts"):
        (folder / keys).mkdir(mode=0o700)
    (folder / "keystone.conf").write_text(f"""
[database]
connection = sqlite:///{folder}/keystone.sqlite3
[token]
provider = fernet
[fernet_tokens]
key_repository = {folder}/fernet
[fernet_receipts]
key_repository = {folder}/receipts
[cache]
enabled = true
backend = dogpile.cache.memory
[identity]
password_hash_rounds = {HASH_ROUNDS}
""")
    user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    first = ["--bootstrap-password", ADMIN_PASSWORD, "--bootstrap-region-id", "lab"]
    addresses = [f"--bootstrap-{whose}-url={url}" for whose in ("public", "internal", "admin")]
    manage = [str(programs / "keystone-manage"), "--config-file", str(folder / "keystone.conf")]
    _run([*manage, "db_sync"])
    _run([*manage, "fernet_setup", "--keystone-user", user, "--keystone-group", group])
    _run([*manage, "bootstrap", *first, *addresses])


def _start(programs: Path, folder: Path, listening: socket.socket) -> subprocess.Popen[bytes]:
    """Let gunicorn answer on a socket that is ours already, so that nobody else can take the port meanwhile."""
    descriptor = listening.fileno()
    (folder / "gunicorn.conf.py").write_text(f"""
wsgi_app = "keystone.wsgi.api:application"
bind = "fd://{descriptor}"
worker_class = "gthread"
threads = {THREADS}
control_socket_disable = True
raw_env = ["OS_KEYSTONE_CONFIG_DIR={folder}", "OS_KEYSTONE_CONFIG_FILES=keystone.conf"]
""")
    # No arguments: Keystone reads those of its process as its own, and gunicorn would start it again for ever.
    command = [str(programs / "gunicorn")]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=_variables(),
            pass_fds=(descriptor,),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _wait_until_it_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    # A worker that dies at once is started again for ever, and meanwhile connections are taken that nobody answers.
    def answers() -> bool:
        assert process.poll() is None, f"it ended with {process.returncode}"
        with suppress(httpx.TransportError):
            return httpx.get(url, timeout=1, trust_env=False).is_success
        return False

    try:
        eventually(answers, seconds=START_SECONDS_MAX)
    except AssertionError as error:
        said = log.read_text(errors="replace")[-LOG_CHARACTERS_MAX:]
        raise AssertionError(f"Keystone does not answer: {error}: {said}") from error


def _run(command: Sequence[str], *, seconds: float = COMMAND_SECONDS_MAX, held: Sequence[int] = ()) -> str:
    """What a command says; where it fails, that it failed and what it said. It holds open what is ``held``."""
    done = subprocess.run(
        command, env=_variables(), pass_fds=held, capture_output=True, text=True, timeout=seconds, check=False
    )
    said = done.stderr[-LOG_CHARACTERS_MAX:]
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}: {said}"
    return done.stdout


def _variables() -> dict[str, str]:
    """The environment's variables without those that would reconfigure uv's target, Keystone or gunicorn."""
    foreign = ("OS_", "GUNICORN_", "PYTHON", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return kept | {"UV_PYTHON_DOWNLOADS": "never"}
