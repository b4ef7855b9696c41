"""What the policies that are there from the beginning allow."""

from __future__ import annotations

import pytest

from fleetcron.domain.decision import Allowed, Question, decide
from fleetcron.domain.predefined import PREDEFINED

LOOKS = [
    *("workspace:scheduledTasks:list", "workspace:scheduledTasks:get", "workspace:scheduledTasks:getFuture"),
    *("workspace:scheduledTasks:listRecords", "workspace:scheduledTasks:getRecord"),
    *("workspace:server:list", "workspace:server:get", "workspace:serverGroup:list", "workspace:serverGroup:get"),
]
CHANGES_TASKS = [f"workspace:scheduledTasks:{name}" for name in ("create", "update", "delete", "batchDelete")]
CHANGES_SERVERS = [
    f"workspace:server:{name}" for name in ("batchStart", "batchStop", "batchReboot", "batchReinstall", "reinstall")
]
EVERYTHING = [*LOOKS, *CHANGES_TASKS, *CHANGES_SERVERS]


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("Workspace FullAccess", EVERYTHING),
        ("Workspace ReadOnlyAccess", LOOKS),
        ("Workspace DesktopsManager", [*LOOKS, *CHANGES_TASKS]),
    ],
)
def test_a_predefined_policy_allows_what_it_is_named_for(name: str, allowed: list[str]) -> None:
    documents = [(name, PREDEFINED[name])]
    for resources in ((), ("workspace:r:a:scheduledTask:1", "workspace:r:a:server:1")):
        verdicts = {action: decide(documents, Question(action=action, resources=resources)) for action in EVERYTHING}
        assert [action for action, verdict in verdicts.items() if isinstance(verdict, Allowed)] == [
            action for action in EVERYTHING if action in allowed
        ]


@pytest.mark.parametrize("name", PREDEFINED)
def test_none_reaches_into_another_service(name: str) -> None:
    assert not isinstance(decide([(name, PREDEFINED[name])], Question(action="iam:users:list")), Allowed)
