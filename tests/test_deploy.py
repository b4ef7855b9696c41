"""What deploy/ says to the command line, to systemd, to Compose, to Kubernetes and to NATS is what those understand."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click
import pytest
import yaml  # type: ignore[import-untyped]  # it publishes no types, and is here for the peers that read YAML

from fleetcron.assembly import inventory
from fleetcron.assembly.settings import DEFAULT_PORT, read_tuning
from fleetcron.cli.app import COMMANDS, load
from fleetcron.dispatch.nats import permissions
from fleetcron.dispatch.nats.config import NatsConfig
from fleetcron.web.health import LIVE, READY

ROOT: Final = Path(__file__).resolve().parents[1]
DEPLOY: Final = ROOT / "deploy"
FILES: Final = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
UNITS: Final = sorted((DEPLOY / "systemd").glob("*.service"))
YAMLS: Final = sorted(path for path in FILES if path.suffix in {".yaml", ".yml"})
OWN_IMAGE: Final = "fleetcron"

COMMAND_SECONDS_MAX = 60

VARIABLE = re.compile(r"\bFLEETCRON_[A-Z_]+\b")
# In units, in Dockerfiles and in what a reader is told to type.
TYPED = re.compile(
    r"^(?:# {2,})?(?:\(umask 077; )?(?:/opt/fleetcron/bin/fleetcron|docker run --rm fleetcron:\S+|fleetcron) "
    r"(?P<rest>[a-z].*)$",
    re.MULTILINE,
)
CREDENTIAL = re.compile(r"%d/(?P<name>[\w.]+)")

# What a wing may be told that no option of it is.
FOUNDING: Final = {
    "FLEETCRON_ADMIN_PASSWORD",
    "FLEETCRON_ACCESS_KEY",
    "FLEETCRON_SECRET_KEY",
    "FLEETCRON_PROJECT_ID",
}

Line = tuple[str, Sequence[str], set[str]]


def name_of(path: Path) -> str:
    return path.relative_to(DEPLOY).as_posix()


def documents(path: Path) -> list[Any]:
    return [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one is not None]


def compose() -> dict[str, Any]:
    (said,) = documents(DEPLOY / "compose" / "compose.yaml")
    assert isinstance(said, dict)
    return said


def cluster(kind: str) -> dict[str, dict[str, Any]]:
    """Everything of a kind that is said to Kubernetes, by name."""
    every = [one for path in YAMLS if path.parent.name == "kubernetes" for one in documents(path)]
    return {one["metadata"]["name"]: one for one in every if one["kind"] == kind}


def pods() -> dict[str, dict[str, Any]]:
    return {name: one["spec"]["template"]["spec"] for name, one in (cluster("Deployment") | cluster("Job")).items()}


def containers() -> dict[str, dict[str, Any]]:
    return {name: container for name, pod in pods().items() for container in pod["containers"]}


def settings(unit: Path) -> list[tuple[str, str, str]]:
    """The section, name and value of each line of a unit; systemd joins lines that end with a backslash."""
    found, section = [], ""
    for line in unit.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        if not line.strip() or line.startswith(("#", ";")):
            continue
        heading = re.fullmatch(r"\[(\w+)\]", line)
        if heading:
            section = heading[1]
            continue
        name, equals, value = line.partition("=")
        assert equals, f"{unit.name}: {line}"
        found.append((section, name, value))
    return found


def values(unit: Path, name: str) -> list[str]:
    return [value for _, one, value in settings(unit) if one == name]


def wings() -> dict[str, Line]:
    """Every start of fleetcron: its place, its words, and the variables that it is given."""
    started: dict[str, Line] = {}
    for unit in UNITS:
        (line,) = values(unit, "ExecStart")
        given = {word.partition("=")[0] for value in values(unit, "Environment") for word in shlex.split(value)}
        started[name_of(unit)] = (unit.name, shlex.split(line)[1:], given)
    for name, service in compose()["services"].items():
        if service["image"].partition(":")[0] == OWN_IMAGE:
            started[f"compose/{name}"] = (name, service["command"], set(service["environment"]))
    for name, container in containers().items():
        given = {variable["name"] for variable in container.get("env", [])}
        started[f"kubernetes/{name}"] = (name, [str(word) for word in container["args"]], given)
    (line,) = re.findall(r"^CMD (.*)$", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    started["Dockerfile"] = ("Dockerfile", json.loads(line), set())
    return started


WINGS: Final = wings()


def typed() -> Iterator[tuple[str, list[str]]]:
    """Every call of fleetcron that a reader may copy."""
    for path in FILES:
        for found in TYPED.finditer(path.read_text(encoding="utf-8")):
            words = shlex.split(found["rest"].partition(" >")[0].rstrip(")"), comments=True)
            yield f"{name_of(path)}: {found['rest']}", words


def understood(words: Sequence[str]) -> dict[str, Any]:
    """What a command understands of its words; fails on an unknown command or option, and on a word too many."""
    assert words[0] in COMMANDS, f"there is no fleetcron {words[0]}"
    command, rest = load(words[0]), list(words[1:])
    if isinstance(command, click.Group) or hasattr(command, "commands"):
        name = rest.pop(0)
        assert name in command.commands, f"there is no fleetcron {words[0]} {name}"
        command = command.commands[name]
    context = command.context_class(command, info_name=words[0])
    given, left, _ = command.make_parser(context).parse_args(rest)
    assert left == [], f"fleetcron {words[0]} does not take {left}"
    return dict(given)


def variables_of(command: str) -> set[str]:
    """The environment that a command reads through its options."""
    return {name for one in load(command).params for name in _as_list(getattr(one, "envvar", None))}


def _as_list(envvar: object) -> list[str]:
    if envvar is None:
        return []
    return [envvar] if isinstance(envvar, str) else list(envvar)  # type: ignore[call-overload]


def port_of(words: Sequence[str], environment: Mapping[str, str]) -> int:
    """Where a wing answers questions about its health."""
    options = {name: one for one in load(words[0]).params for name in [one.name]}
    given = understood(words)
    name = "health_port" if "health_port" in options else "port"
    said = given.get(name) or environment.get("FLEETCRON_PORT") or options[name].default
    return int(said)


@pytest.mark.parametrize("line", WINGS.values(), ids=list(WINGS))
def test_every_start_is_one_that_the_command_line_understands(line: Line) -> None:
    understood(line[1])


@pytest.mark.parametrize("line", WINGS.values(), ids=list(WINGS))
def test_a_wing_is_given_no_variable_that_it_does_not_read(line: Line) -> None:
    _, words, given = line
    own = variables_of(words[0]) | (FOUNDING if words[0] in {"serve", "api"} else set())
    assert given - own == set()


def test_every_call_that_a_reader_may_copy_is_understood() -> None:
    calls = dict(typed())
    assert len(calls) > 2
    for words in calls.values():
        understood(words)


def test_every_variable_in_every_file_is_one_that_fleetcron_reads() -> None:
    known = FOUNDING.union(*(variables_of(command) for command in ("serve", "api", "engine", "worker", "migrate")))
    unknown = {
        (name_of(path), name)
        for path in FILES
        for name in VARIABLE.findall(path.read_text(encoding="utf-8"))
        if name not in known
    }
    assert unknown == set()


def test_a_worker_is_given_no_database_and_no_keys() -> None:
    for _, words, given in WINGS.values():
        if words[0] == "worker":
            assert {"FLEETCRON_DATABASE", "FLEETCRON_SECRET_KEYS_FILE"}.isdisjoint(given)
    (unit,) = (DEPLOY / "systemd").glob("*worker@.service")
    assert not [value for value in values(unit, "LoadCredential") if "keys" in value]


@pytest.mark.parametrize("path", YAMLS, ids=name_of)
def test_every_yaml_file_can_be_read(path: Path) -> None:
    assert documents(path)


def test_every_image_is_pinned_by_a_tag() -> None:
    named = [service["image"] for service in compose()["services"].values()]
    named += [container["image"] for container in containers().values()]
    named += re.findall(r"^FROM (\S+)", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    tags = {image: image.rpartition(":")[2] for image in named if ":" in image}
    assert sorted(set(named) - tags.keys()) == []
    assert [image for image, tag in tags.items() if not re.match(r"\d", tag)] == []


def test_the_image_has_the_version_that_is_built() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = {
        (name_of(path), version)
        for path in FILES
        for version in re.findall(r"fleetcron[:-](\d[\d.]*\d)", path.read_text(encoding="utf-8"))
    }
    assert found
    assert {version for _, version in found} == {project["version"]}
    (said,) = documents(DEPLOY / "kubernetes" / "kustomization.yaml")
    assert [image["newTag"] for image in said["images"]] == [project["version"]]


def test_each_wing_of_the_compose_file_is_asked_for_its_health_where_it_answers() -> None:
    for name, service in compose()["services"].items():
        if service["image"].partition(":")[0] != OWN_IMAGE or service["command"] == ["migrate"]:
            continue
        asked = re.search(r"http://127\.0\.0\.1:(\d+)(/[\w/]+)", service["healthcheck"]["test"][-1])
        assert asked is not None, name
        assert (int(asked[1]), asked[2]) == (port_of(service["command"], service["environment"]), READY)
    assert compose()["services"]["api"]["ports"] == [f"127.0.0.1:{DEFAULT_PORT}:{DEFAULT_PORT}"]


def test_what_the_compose_file_refers_to_is_there() -> None:
    said = compose()
    for name, service in said["services"].items():
        assert set(service.get("depends_on", {})) <= said["services"].keys(), name
        assert set(service.get("secrets", [])) <= said["secrets"].keys(), name
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            there = (DEPLOY / "compose" / source).exists() if source.startswith(".") else source in said["volumes"]
            assert there, f"{name}: {volume}"


def test_every_secret_that_compose_wants_is_named_in_the_example_and_has_no_value_there() -> None:
    text = (DEPLOY / "compose" / "compose.yaml").read_text(encoding="utf-8")
    wanted = set(re.findall(r"\$\{(\w+)", text))
    example = dict(
        line.split("=", 1)
        for line in (DEPLOY / "compose" / ".env.example").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    )
    assert example.keys() == wanted
    assert set(example.values()) == {""}
    assert len(re.findall(r"\$\{", text)) == len(re.findall(r"\$\{\w+:\?", text)), "one may be left empty unnoticed"


def test_compose_has_a_worker_and_a_user_of_nats_for_each_site_of_its_fleet(clock: Any) -> None:  # noqa: ANN401
    found = inventory.read(DEPLOY / "compose" / "fleet.toml", project_id="p1", now=clock())
    sites = {endpoint.site for endpoint in found.endpoints}
    workers = [words for _, words, _ in WINGS.values() if words[0] == "worker"]
    assert {understood(words)["site"] for words in workers} >= sites
    users = re.findall(r"^\s+user: (\w+)$", (DEPLOY / "compose" / "users.conf").read_text(), re.MULTILINE)
    assert set(users) == sites | {"engine"}


def test_each_wing_in_the_cluster_is_asked_for_its_health_where_it_answers() -> None:
    for name in cluster("Deployment"):
        container = containers()[name]
        environment = {one["name"]: one.get("value", "") for one in container.get("env", [])}
        (port,) = container["ports"]
        assert port["containerPort"] == port_of(container["args"], environment)
        for probe, path in (("startupProbe", LIVE), ("livenessProbe", LIVE), ("readinessProbe", READY)):
            assert container[probe]["httpGet"] == {"path": path, "port": port["name"]}, (name, probe)


def test_what_is_asked_from_outside_listens_outside() -> None:
    for name in cluster("Deployment"):
        container = containers()[name]
        environment = {one["name"]: one.get("value") for one in container.get("env", [])}
        given = understood(container["args"])
        assert (given.get("health_host") or environment.get("FLEETCRON_HOST")) == "0.0.0.0"  # noqa: S104


def test_nothing_in_the_cluster_is_root_or_writes_where_it_need_not() -> None:
    for name, pod in pods().items():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert container["resources"].keys() == {"requests", "limits"}, name


def test_what_the_cluster_refers_to_is_there() -> None:
    secrets = {name: set(one["stringData"]) for name, one in cluster("Secret").items()}
    (kustomization,) = documents(DEPLOY / "kubernetes" / "kustomization.yaml")
    configs = {one["name"] for one in kustomization["configMapGenerator"]}
    assert all((DEPLOY / "kubernetes" / name).exists() for name in kustomization["resources"])
    assert all(
        (DEPLOY / "kubernetes" / file).exists() for one in kustomization["configMapGenerator"] for file in one["files"]
    )
    for name, pod in pods().items():
        volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
        for container in pod["containers"]:
            for variable in container.get("env", []):
                wanted = variable.get("valueFrom", {}).get("secretKeyRef")
                assert wanted is None or wanted["key"] in secrets[wanted["name"]], (name, variable)
            assert {mount["name"] for mount in container.get("volumeMounts", [])} == volumes.keys(), name
        assert {volume["configMap"]["name"] for volume in volumes.values() if "configMap" in volume} <= configs
        assert {volume["secret"]["secretName"] for volume in volumes.values() if "secret" in volume} <= secrets.keys()


def test_everything_in_the_cluster_selects_pods_that_are_there() -> None:
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in cluster("Deployment").values()]
    for one in cluster("Deployment").values():
        assert one["spec"]["selector"]["matchLabels"] == one["spec"]["template"]["metadata"]["labels"]
    budgets = [one["spec"]["selector"]["matchLabels"] for one in cluster("PodDisruptionBudget").values()]
    assert sorted(budgets, key=str) == sorted(labels, key=str)
    for service in cluster("Service").values():
        (pod,) = [one for one in labels if one == service["spec"]["selector"]]
        ports = {port["name"] for port in containers()[pod["app"]]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


def test_a_worker_in_the_cluster_is_given_longer_than_its_drain() -> None:
    for name, pod in pods().items():
        drain = understood(containers()[name]["args"]).get("drain_seconds")
        assert drain is None or pod["terminationGracePeriodSeconds"] > float(drain), name


@pytest.mark.parametrize("path", [path for path in FILES if path.name.startswith("fleet.toml")], ids=name_of)
def test_every_fleet_is_one_that_can_be_read(path: Path, clock: Any) -> None:  # noqa: ANN401
    assert inventory.read(path, project_id="p1", now=clock()).servers


@pytest.mark.parametrize("path", [path for path in FILES if path.name == "settings.toml"], ids=name_of)
def test_every_settings_file_is_one_that_can_be_read(path: Path) -> None:
    assert read_tuning(path) != read_tuning(None)


@pytest.mark.parametrize("unit", UNITS, ids=name_of)
def test_a_unit_is_whole(unit: Path) -> None:
    assert [section for section, *_ in settings(unit)] == sorted(
        (section for section, *_ in settings(unit)), key=["Unit", "Service", "Install"].index
    )
    assert values(unit, "Type") == ["exec"]
    assert values(unit, "WantedBy") == ["multi-user.target"]
    single = [name for _, name, _ in settings(unit) if name not in {"LoadCredential", "SystemCallFilter"}]
    assert len(single) == len(set(single)), "something is said twice"


@pytest.mark.parametrize("unit", UNITS, ids=name_of)
def test_a_unit_gives_every_credential_that_it_speaks_of(unit: Path) -> None:
    given = {value.partition(":")[0] for value in values(unit, "LoadCredential")}
    used = {found["name"] for _, _, value in settings(unit) for found in CREDENTIAL.finditer(value)}
    assert given == used


@pytest.mark.parametrize("unit", UNITS, ids=name_of)
def test_a_unit_has_no_more_rights_than_it_needs(unit: Path) -> None:
    said = {name: value for section, name, value in settings(unit) if section == "Service"}
    assert said["DynamicUser"] == said["NoNewPrivileges"] == said["PrivateTmp"] == said["ProtectHome"] == "yes"
    assert said["ProtectSystem"] == "strict"
    assert said["CapabilityBoundingSet"] == ""
    assert values(unit, "SystemCallFilter")[0] == "@system-service"


@pytest.mark.parametrize("unit", UNITS, ids=name_of)
def test_a_unit_waits_longer_than_the_drain_before_it_kills(unit: Path) -> None:
    (line,) = values(unit, "ExecStart")
    drain = float(understood(shlex.split(line)[1:]).get("drain_seconds") or 0)
    (seconds,) = values(unit, "TimeoutStopSec")
    assert float(seconds) > drain


def test_systemd_itself_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    for unit in UNITS:
        # The program is not where an operator would put it.
        text = unit.read_text(encoding="utf-8")
        assert "ExecStart=/opt/fleetcron/bin/fleetcron " in text
        told = text.replace("/opt/fleetcron/bin/fleetcron", str(Path(sys.executable).with_name("fleetcron")))
        (tmp_path / unit.name).write_text(told)
    # Where it is not at hand, the tests above are what there is.
    if program is not None:
        command = [program, "verify", *(str(tmp_path / unit.name) for unit in UNITS)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS_MAX, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_everybody_at_nats_may_do_what_is_needed_and_nothing_else() -> None:
    text = (DEPLOY / "compose" / "users.conf").read_text(encoding="utf-8")
    for block in text.split("user: ")[1:]:
        user = block.split()[0]
        said = [re.findall(r'"(.*?)"', found) for found in re.findall(r"allow: \[(.*?)\]", block, re.DOTALL)]
        subjects = NatsConfig().subjects
        may = permissions.of_engine(subjects) if user == "engine" else permissions.of_worker(subjects, user)
        assert said == [may["publish"]["allow"], may["subscribe"]["allow"]], user


def test_nats_understands_its_settings() -> None:
    program = Path(sys.executable).with_name("nats-server")
    # As Compose hands it on: NATS reads the environment as it reads its file, where what begins like a number is none
    # of text.
    given = compose()["services"]["nats"]["environment"]
    secrets = {name: re.sub(r"\$\{.*?\}", "1e5f", value) for name, value in given.items()}
    done = subprocess.run(
        [program, "-t", "-c", DEPLOY / "compose" / "nats.conf"],
        env={**os.environ, **secrets},
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stderr
