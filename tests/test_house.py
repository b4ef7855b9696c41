"""The rules of the house that no linter knows; docs/architecture.md says why they are rules."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fleetcron.domain.access import AccessKey, Account, Attachment, Group, Policy, Project, Token, User
from fleetcron.domain.audit import AuditRecord
from fleetcron.domain.execution import Execution, ResultCode, Subtask
from fleetcron.domain.fleet import Reach, Server, ServerGroup
from fleetcron.domain.task import Task
from fleetcron.store.database import Database
from fleetcron.store.rows import Rows

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "fleetcron"
MODULES = sorted(PACKAGE.rglob("*.py"))

FILE_LINES_MAX = 320
RESULT_CODE_LENGTH_MAX = 16

VENDOR_WORD = re.compile(
    r"""\b(
    schedule_tasks? | schedule_task_policy | scheduled_tasks? | enforcement_enable | target_infos
    | scheduled_(type|date|time) | expire_time | day_interval | week_list | month_list | date_list
    | task_cron | is_enable | last_status | next_execution_time | future_executions
    | execute_history(_id)? | execute_detail | execute_id
    | (total|success|failed|excuting|executing)_count | (begin|end|create|update)_time
    )\b""",
    re.VERBOSE,
)
# The vendor's words are spelled in wire/; a form in the console names its fields as the wire does.
VENDOR_ROOMS = (PACKAGE / "wire", PACKAGE / "web" / "templates")

EMPTY_NAMES = {"common", "helper", "helpers", "manager", "managers", "misc", "model", "models", "service", "services"}
EMPTY_NAMES |= {"handler", "handlers", "processor", "util", "utils", "info", "data"}

TIMELESS_ROOMS = ("domain", "store", "control", "wire", "dispatch", "identity")
CLOCKS = {
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
    "time": {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "localtime", "gmtime"},
}

OUTSIDE = {"asyncio", "io", "logging", "os", "pathlib", "random", "secrets", "socket", "sqlite3", "subprocess", "time"}
DOMAIN_IMPORTS = (sys.stdlib_module_names | {"msgspec", "fleetcron"}) - OUTSIDE

# What has no test file of its own, and why that is right.
UNMIRRORED = {
    "errors": "a tree of names; everybody else's tests raise them",
    "dispatch/contract": "protocols and messages; tests/dispatch tests what fulfils them",
    "domain/audit": "nouns without laws",
    "domain/fleet": "nouns without laws",
    "drivers/contract": "protocols and messages; tests/conformance tests what fulfils them",
    "identity/contract": "a protocol and its settings; tests/identity tests what fulfils it",
    "web/call": "types that the doors hand on",
    "wire/operation": "the shape of a row of the table of operations",
}

NOUNS = [
    (Account, "accounts"),
    (Project, "projects"),
    (User, "users"),
    (AccessKey, "access_keys"),
    (Token, "tokens"),
    (Group, "user_groups"),
    (Policy, "policies"),
    (Attachment, "attachments"),
    (AuditRecord, "audit"),
    (Server, "servers"),
    (ServerGroup, "server_groups"),
    (Reach, "endpoints"),
    (Task, "tasks"),
    (Execution, "executions"),
    (Subtask, "subtasks"),
]

WRITTEN = ("src", "tests", "docs", "deploy", "scripts", "benchmarks", "examples", ".ci")
TEXT_SUFFIXES = {".py", ".md", ".toml", ".sql", ".yml", ".yaml", ".html", ".css", ".js", ".sh", ".json", ".txt", ""}
# Put together here, so that this file does not break its own rule.
MACHINE_PATH = re.compile(r"(?<![\w.:~])/(?:" + "work|root|home|tmp|Users" + r")/[\w.]")
REGISTRY_HOST = re.compile(
    "|".join(re.escape(host) for host in ("pypi" + ".org", "python" + "hosted.org", "ghcr" + ".io"))
)


def name_of(module: Path) -> str:
    return module.relative_to(PACKAGE).with_suffix("").as_posix()


def written() -> Iterator[tuple[Path, str]]:
    """Every text of the project that a person wrote, and its content; the lock is not one."""
    tops = [path for path in ROOT.iterdir() if path.is_file() and path.name not in {"uv.lock", "LICENSE", ".git"}]
    deep = [path for folder in WRITTEN for path in (ROOT / folder).rglob("*") if "__pycache__" not in path.parts]
    for path in sorted(tops + deep):
        if path.is_file() and path.suffix in TEXT_SUFFIXES:
            yield path.relative_to(ROOT), path.read_text(encoding="utf-8")


def hits(pattern: re.Pattern[str], path: Path, text: str) -> list[str]:
    return [
        f"{path}:{number}: {match[0]}"
        for number, line in enumerate(text.splitlines(), start=1)
        for match in pattern.finditer(line)
    ]


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def clocks_read(tree: ast.AST) -> list[str]:
    read = [
        f"{node.value.id if isinstance(node.value, ast.Name) else node.value.attr}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute)
    ]
    names = {f"{owner}.{clock}" for owner, clocks in CLOCKS.items() for clock in clocks}
    return sorted(names.intersection(read) | names.intersection(imported(tree)))


def test_the_vendors_words_are_spelled_in_wire_alone() -> None:
    outside = [
        hit
        for path in sorted(PACKAGE.rglob("*"))
        if path.suffix in TEXT_SUFFIXES and path.is_file() and not any(map(path.is_relative_to, VENDOR_ROOMS))
        for hit in hits(VENDOR_WORD, path.relative_to(ROOT), path.read_text(encoding="utf-8"))
    ]
    assert outside == []


def test_the_vendors_misspelling_is_written_once_and_marked() -> None:
    said = [
        line for module in MODULES for line in module.read_text(encoding="utf-8").splitlines() if "excuting" in line
    ]
    assert len(said) == 1
    assert "sic" in said[0]


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_module_is_small_and_says_what_it_is(module: Path) -> None:
    text = module.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= FILE_LINES_MAX
    assert ast.get_docstring(ast.parse(text))
    assert module.stem not in EMPTY_NAMES
    assert module.parent.name not in EMPTY_NAMES


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_no_import_is_for_types_only(module: Path) -> None:
    assert "TYPE_CHECKING" not in module.read_text(encoding="utf-8")


@pytest.mark.parametrize("room", TIMELESS_ROOMS)
def test_time_is_an_argument(room: str) -> None:
    read = {
        name_of(module): clocks
        for module in (PACKAGE / room).rglob("*.py")
        if (clocks := clocks_read(ast.parse(module.read_text(encoding="utf-8"))))
    }
    assert read == {}


def test_the_domain_is_pure() -> None:
    strangers = {
        name_of(module): name
        for module in (PACKAGE / "domain").rglob("*.py")
        for name in imported(ast.parse(module.read_text(encoding="utf-8")))
        if name.partition(".")[0] not in DOMAIN_IMPORTS
    }
    assert strangers == {}


def test_the_tests_mirror_the_package() -> None:
    modules = {name_of(module) for module in MODULES if not module.name.startswith("__")}
    tested = {
        (path.relative_to(ROOT / "tests").parent / path.stem.removeprefix("test_")).as_posix()
        for path in (ROOT / "tests").rglob("test_*.py")
    }
    assert modules - tested - UNMIRRORED.keys() == set(), "no test file"
    assert UNMIRRORED.keys() - modules == set(), "named here, but gone"
    assert UNMIRRORED.keys() & tested == set(), "named here, but tested now"


@pytest.mark.parametrize(("noun", "table"), NOUNS, ids=[table for _, table in NOUNS])
def test_a_row_has_the_names_of_its_noun(noun: type[msgspec.Struct], table: str, either_database: Database) -> None:
    named = "SELECT column_name FROM information_schema.columns WHERE table_name = ?"
    with either_database.snapshot() as tx:
        found = tx.execute(named if either_database.partitioned else "SELECT name FROM pragma_table_info(?)", (table,))
        columns = {name for (name,) in found}
    sealed = {"record"} if table == "executions" else set()
    assert set(Rows(noun, table).names) == columns - sealed


def test_every_result_code_is_explained_and_no_other() -> None:
    rows = re.findall(r"^\| `([^`]+)` \|", (ROOT / "docs" / "error-codes.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(code for code in rows if code.startswith("FC.")) == sorted(ResultCode)
    assert [code for code in ResultCode if len(code) > RESULT_CODE_LENGTH_MAX] == []


def test_every_error_code_is_explained() -> None:
    used = {
        code
        for module in MODULES
        for code in re.findall(r"\b(?:WKS|APIGW|IAM)\.\d+\b", module.read_text(encoding="utf-8"))
    }
    explained = (ROOT / "docs" / "error-codes.md").read_text(encoding="utf-8")
    assert sorted(code for code in used if f"| `{code}` |" not in explained) == []


def test_nothing_names_a_machines_paths_or_a_registrys_host() -> None:
    assert [
        hit for path, text in written() for hit in hits(MACHINE_PATH, path, text) + hits(REGISTRY_HOST, path, text)
    ] == []


def test_the_lock_knows_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    (ours,) = [package for package in lock["package"] if package["name"] == "fleetcron"]
    extras = project["project"]["optional-dependencies"]
    groups = project["dependency-groups"]
    asked = [*project["project"]["dependencies"], *chain(*extras.values()), *chain(*groups.values())]
    locked = [*ours["metadata"]["requires-dist"], *chain(*ours["metadata"]["requires-dev"].values())]
    assert sorted(asked) == sorted(_as_asked(entry) for entry in locked)


def _as_asked(entry: Mapping[str, Any]) -> str:
    """A dependency in the lock as pyproject.toml writes it."""
    extras = f"[{','.join(entry['extras'])}]" if "extras" in entry else ""
    return f"{entry['name']}{extras}{entry.get('specifier', '')}"
