"""Policies, predefined and the account's own, and to whom they are attached."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from builders import NOW, after
from fleetcron.control import users
from fleetcron.control.groups import Groups
from fleetcron.control.policies import Policies, of_caller
from fleetcron.domain.access import Caller, Holder, Policy, Predefined, User
from fleetcron.domain.decision import Allowed, Denied, Question, Verdict, decide
from fleetcron.domain.predefined import PREDEFINED
from fleetcron.errors import Conflict, Forbidden, Invalid, NotFound
from fleetcron.store.database import Database

ADMIN = Caller(user_id="u-admin", user_name="admin", account_id="default", administrator=True, project_id=None)
ADA = msgspec.structs.replace(ADMIN, user_id="u-ada", user_name="ada", administrator=False)
MALLORY = msgspec.structs.replace(ADMIN, user_id="u-m", user_name="mallory", account_id="elsewhere")
READ_ONLY = "Workspace ReadOnlyAccess"
ADA_EVERYWHERE = Holder(user_id="u-ada", account_id="default")
ADA_IN_P1 = Holder(user_id="u-ada", project_id="p1")


def a_document(effect: str = "Allow", action: str = "workspace:scheduledTasks:listRecords") -> str:
    return json.dumps({"Version": "5.0", "Statement": [{"Effect": effect, "Action": [action]}]})


@pytest.fixture
def policies(database: Database) -> Policies:
    with database.transaction() as tx:
        user = User(
            user_id="u-ada",
            account_id="default",
            name="ada",
            description=None,
            password_hash="a hash",
            administrator=False,
            enabled=True,
            created_at=NOW,
        )
        users.add(tx, user)
    return Policies(database)


@pytest.fixture
def own(policies: Policies) -> Policy:
    return a_policy(policies)


def a_policy(policies: Policies, name: str = "own", **said: Any) -> Policy:  # noqa: ANN401  (what create_policy takes)
    usual: dict[str, Any] = {"description": None, "regional": True, "document": a_document(), "now": NOW}
    return policies.create_policy(ADMIN, name=name, **(usual | said))


def verdict_on(database: Database, project_id: str | None = "p1", action: str = "listRecords") -> Verdict:
    """What ada's policies say to a question about tasks."""
    with database.snapshot() as tx:
        documents = of_caller(tx, ADA, project_id)
    return decide(documents, Question(action=f"workspace:scheduledTasks:{action}"))


def test_a_policy_is_made_shown_changed_and_deleted(policies: Policies, own: Policy) -> None:
    assert policies.show_policy(ADMIN, own.policy_id) == (own, 0)
    assert policies.show_known(ADMIN, own.policy_id) == own
    assert policies.list_policies(ADMIN) == policies.list_policies(ADMIN, "own") == [own]
    document = a_document("Deny")
    changed = policies.update_policy(
        ADMIN, own.policy_id, name="other", description="d", regional=False, document=document, now=after(1)
    )
    assert changed == msgspec.structs.replace(
        own, name="other", description="d", regional=False, document=document, updated_at=after(1)
    )
    assert policies.update_policy(ADMIN, own.policy_id, description="", now=after(1)).description is None
    policies.delete_policy(ADMIN, own.policy_id)
    with pytest.raises(NotFound):
        policies.show_policy(ADMIN, own.policy_id)


def test_a_document_is_kept_to_the_character(policies: Policies) -> None:
    text = ' {"Statement" : [{"Action":["workspace:*:*"], "Effect":"Allow"}],\n "Version":"1.1"}'
    assert a_policy(policies, document=text).document == text
    assert a_policy(policies, "as bytes", document=text.encode()).document == text


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ("", "policy"),
        ("{}", "policy.Version"),
        ('{"Version":"5.0","Statement":[]}', "policy.Statement"),
        (a_document("Perhaps"), "policy.Statement[0].Effect"),
        (a_document(action="everything"), "policy.Statement[0].Action[0]"),
        (a_document().replace('"Effect"', '"Effect": "Deny", "Effect"'), "policy"),
    ],
)
def test_a_malformed_document_is_refused_by_its_place(
    policies: Policies, own: Policy, document: str, place: str
) -> None:
    attempts: list[Callable[[], Policy]] = [
        lambda: a_policy(policies, "another", document=document),
        lambda: policies.update_policy(ADMIN, own.policy_id, document=document, now=NOW),
    ]
    for attempt in attempts:
        with pytest.raises(Invalid) as refusal:
            attempt()
        assert refusal.value.field == place
    assert policies.list_policies(ADMIN) == [own]


def test_a_name_is_given_once_and_never_a_predefined_one(policies: Policies, own: Policy) -> None:
    other = a_policy(policies, "other")
    for name in ("own", READ_ONLY):
        with pytest.raises(Conflict, match=name):
            a_policy(policies, name)
        with pytest.raises(Conflict, match=name):
            policies.update_policy(ADMIN, other.policy_id, name=name, now=NOW)
    assert policies.update_policy(ADMIN, other.policy_id, name="other", now=NOW).name == "other"


def test_an_account_has_only_so_many_policies(policies: Policies, own: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleetcron.control.policies.POLICIES_MAX", 1)
    with pytest.raises(Conflict, match="1 policies"):
        a_policy(policies, "one too many")


def test_predefined_policies_are_known_by_name_and_cannot_be_changed(policies: Policies, own: Policy) -> None:
    known = policies.list_known(ADMIN)
    assert [one.name for one in known] == [*PREDEFINED, "own"]
    shown = policies.show_known(ADMIN, READ_ONLY)
    assert shown == Predefined(name=READ_ONLY, document=PREDEFINED[READ_ONLY].text)
    assert policies.list_known(ADMIN, READ_ONLY) == [shown]
    assert policies.list_known(ADMIN, "own") == [own]
    for attempt in (
        lambda: policies.update_policy(ADMIN, READ_ONLY, name="mine", now=NOW),
        lambda: policies.delete_policy(ADMIN, READ_ONLY),
        lambda: policies.show_policy(ADMIN, READ_ONLY),
    ):
        with pytest.raises(NotFound):
            attempt()


def test_an_attached_policy_counts_until_it_is_detached(policies: Policies, own: Policy, database: Database) -> None:
    assert verdict_on(database) == Denied(explicit=False, by=None, resource=None)
    for _ in range(2):
        policies.attach(ADMIN, ADA_EVERYWHERE, own.policy_id, NOW)
    assert verdict_on(database) == Allowed(by="own")
    policies.check(ADMIN, ADA_EVERYWHERE, own.policy_id, NOW)
    assert policies.list_attached(ADMIN, ADA_EVERYWHERE) == [own]
    assert policies.show_policy(ADMIN, own.policy_id) == (own, 1)
    policies.detach(ADMIN, ADA_EVERYWHERE, own.policy_id, NOW)
    assert verdict_on(database) == Denied(explicit=False, by=None, resource=None)
    for ask in (policies.check, policies.detach):
        with pytest.raises(NotFound):
            ask(ADMIN, ADA_EVERYWHERE, own.policy_id, NOW)


def test_a_predefined_policy_is_attached_by_its_name(policies: Policies, database: Database) -> None:
    policies.attach(ADMIN, ADA_EVERYWHERE, READ_ONLY, NOW)
    assert verdict_on(database) == Allowed(by=READ_ONLY)
    assert [one.name for one in policies.list_attached(ADMIN, ADA_EVERYWHERE)] == [READ_ONLY]


def test_a_policy_in_a_project_counts_there_alone(policies: Policies, own: Policy, database: Database) -> None:
    policies.attach(ADMIN, ADA_IN_P1, own.policy_id, NOW)
    assert isinstance(verdict_on(database, "p1"), Allowed)
    for project_id in ("p2", None):
        assert isinstance(verdict_on(database, project_id), Denied)
    assert policies.list_attached(ADMIN, ADA_EVERYWHERE) == []


def test_a_policy_of_a_group_counts_for_all_who_are_in_it(policies: Policies, own: Policy, database: Database) -> None:
    groups = Groups(database)
    ops = groups.create_group(ADMIN, name="ops", description=None, now=NOW)
    policies.attach(ADMIN, Holder(group_id=ops.group_id, project_id="p1"), own.policy_id, NOW)
    assert isinstance(verdict_on(database), Denied)
    groups.add_member(ADMIN, ops.group_id, "u-ada")
    assert verdict_on(database) == Allowed(by="own")
    groups.remove_member(ADMIN, ops.group_id, "u-ada")
    assert isinstance(verdict_on(database), Denied)


def test_a_changed_document_counts_at_once(policies: Policies, own: Policy, database: Database) -> None:
    policies.attach(ADMIN, ADA_EVERYWHERE, READ_ONLY, NOW)
    policies.attach(ADMIN, ADA_IN_P1, own.policy_id, NOW)
    assert isinstance(verdict_on(database), Allowed)
    policies.update_policy(ADMIN, own.policy_id, document=a_document("Deny"), now=after(1))
    assert verdict_on(database) == Denied(explicit=True, by="own", resource=None)
    assert verdict_on(database, "p2") == Allowed(by=READ_ONLY)


def test_a_policy_comes_once_however_often_it_is_attached(policies: Policies, own: Policy, database: Database) -> None:
    for holder in (ADA_EVERYWHERE, ADA_IN_P1):
        policies.attach(ADMIN, holder, own.policy_id, NOW)
        policies.attach(ADMIN, holder, READ_ONLY, NOW)
    with database.snapshot() as tx:
        assert [name for name, _ in of_caller(tx, ADA, "p1")] == [READ_ONLY, "own"]


def test_a_predefined_policy_that_is_no_longer_known_allows_nothing(
    policies: Policies, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    policies.attach(ADMIN, ADA_EVERYWHERE, READ_ONLY, NOW)
    monkeypatch.setattr("fleetcron.control.policies.PREDEFINED", {})
    assert isinstance(verdict_on(database), Denied)
    assert policies.list_attached(ADMIN, ADA_EVERYWHERE) == []


def test_a_policy_in_use_stays(policies: Policies, own: Policy, database: Database) -> None:
    policies.attach(ADMIN, ADA_IN_P1, own.policy_id, NOW)
    with pytest.raises(Conflict, match="own is attached 1 times"):
        policies.delete_policy(ADMIN, own.policy_id)
    assert isinstance(verdict_on(database), Allowed)


def test_a_holder_has_only_so_many_policies(policies: Policies, own: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleetcron.control.policies.ATTACHMENTS_MAX", 1)
    policies.attach(ADMIN, ADA_EVERYWHERE, READ_ONLY, NOW)
    policies.attach(ADMIN, ADA_EVERYWHERE, READ_ONLY, NOW)
    with pytest.raises(Conflict):
        policies.attach(ADMIN, ADA_IN_P1, own.policy_id, NOW)


@pytest.mark.parametrize(
    "holder", [Holder(user_id="nobody", account_id="default"), Holder(group_id="nothing", project_id="p1")]
)
def test_a_holder_who_is_not_there_is_not_found(policies: Policies, own: Policy, holder: Holder) -> None:
    with pytest.raises(NotFound):
        policies.attach(ADMIN, holder, own.policy_id, NOW)
    with pytest.raises(NotFound):
        policies.list_attached(ADMIN, holder)


def test_a_policy_that_is_not_there_is_not_attached(policies: Policies) -> None:
    with pytest.raises(NotFound, match="nothing"):
        policies.attach(ADMIN, ADA_EVERYWHERE, "nothing", NOW)


DEEDS: dict[str, Callable[[Policies, Caller, str], object]] = {
    "show": lambda policies, caller, policy: policies.show_policy(caller, policy),
    "show known": lambda policies, caller, policy: policies.show_known(caller, policy),
    "update": lambda policies, caller, policy: policies.update_policy(caller, policy, name="mine", now=NOW),
    "delete": lambda policies, caller, policy: policies.delete_policy(caller, policy),
}
ATTACHING: dict[str, Callable[[Policies, Caller, str], object]] = {
    "attach": lambda policies, caller, policy: policies.attach(caller, ADA_EVERYWHERE, policy, NOW),
    "attach in a project": lambda policies, caller, policy: policies.attach(caller, ADA_IN_P1, policy, NOW),
    "check": lambda policies, caller, policy: policies.check(caller, ADA_IN_P1, policy, NOW),
    "detach": lambda policies, caller, policy: policies.detach(caller, ADA_IN_P1, policy, NOW),
    "attached": lambda policies, caller, policy: policies.list_attached(caller, ADA_EVERYWHERE),
}


@pytest.mark.parametrize("deed", [*DEEDS, *ATTACHING])
def test_who_is_no_administrator_manages_no_policy(policies: Policies, own: Policy, deed: str) -> None:
    for policy in (own.policy_id, "nothing"):
        with pytest.raises(Forbidden, match="ada is not an administrator"):
            (DEEDS | ATTACHING)[deed](policies, ADA, policy)
    assert policies.show_policy(ADMIN, own.policy_id) == (own, 0)


@pytest.mark.parametrize("policy", [READ_ONLY, "own"])
def test_who_is_no_administrator_is_told_of_no_policy(policies: Policies, policy: str) -> None:
    for attempt in (
        lambda: policies.list_policies(ADA),
        lambda: policies.list_known(ADA),
        lambda: policies.show_known(ADA, policy),
        lambda: policies.create_policy(
            ADA, name="mine", description=None, regional=True, document=a_document(), now=NOW
        ),
    ):
        with pytest.raises(Forbidden):
            attempt()


@pytest.mark.parametrize("deed", DEEDS)
def test_a_policy_of_another_account_is_not_found(policies: Policies, own: Policy, deed: str) -> None:
    with pytest.raises(NotFound):
        DEEDS[deed](policies, MALLORY, own.policy_id)
    assert policies.list_policies(MALLORY) == []


@pytest.mark.parametrize("deed", ATTACHING)
def test_nobody_attaches_anything_in_another_account(policies: Policies, own: Policy, deed: str) -> None:
    with pytest.raises(Forbidden):
        ATTACHING[deed](policies, MALLORY, own.policy_id)
    with pytest.raises(NotFound):
        policies.attach(MALLORY, Holder(user_id="u-ada", account_id="elsewhere"), own.policy_id, NOW)


@pytest.mark.parametrize("project_id", ["nowhere", "", "P1"])
def test_nobody_attaches_anything_in_a_project_that_is_not_there(policies: Policies, project_id: str) -> None:
    with pytest.raises(Forbidden):
        policies.attach(ADMIN, Holder(user_id="u-ada", project_id=project_id), READ_ONLY, NOW)


def test_a_holder_is_one_in_one_place() -> None:
    for said in ({}, {"user_id": "u"}, {"user_id": "u", "group_id": "g", "account_id": "a"}, {"account_id": "a"}):
        with pytest.raises(ValueError, match="must name"):
            Holder(**said)
