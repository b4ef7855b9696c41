"""Policies in the words of the vendor's IAM, as its own SDK writes and reads them."""

from __future__ import annotations

import json
from typing import Any

import huaweicloudsdkiam.v3 as iam
import msgspec
import pytest
from huaweicloudsdkcore.utils.http_utils import sanitize_for_serialization

from builders import NOW
from fleetcron.domain.access import Policy, Predefined
from fleetcron.domain.policy import read_document
from fleetcron.errors import Invalid
from fleetcron.wire.fields import read_body, read_query
from fleetcron.wire.policies import OPERATIONS, CreatePolicy, Pages, UpdatePolicy, say_role, say_roles

BASE = "http://localhost:8080"
DOCUMENT = '{ "Version": "1.1", "Statement": [{"Effect": "Allow", "Action": ["workspace:*:*"]}] }'
OWN = Policy(
    policy_id="p",
    account_id="a",
    name="own",
    description=None,
    regional=True,
    document=DOCUMENT,
    created_at=NOW,
    updated_at=NOW,
)
FULL = Predefined(name="Workspace FullAccess", document=DOCUMENT)


def read_by_the_sdk(said: object, kind: type) -> Any:  # noqa: ANN401  (the SDK publishes no types)
    return iam.IamClient()._deserialize(json.loads(msgspec.json.encode(said)), kind)


def test_the_sdks_policy_is_one_that_can_be_read() -> None:
    statement = iam.ServiceStatement(
        effect="Allow",
        action=["workspace:*:get*"],
        resource=["workspace:*:*:server:*"],
        condition={"StringEquals": {"g:UserName": ["ada"]}},
    )
    policy = iam.ServicePolicy(version="1.1", statement=[statement])
    role = iam.ServicePolicyRoleOption(display_name="own", type="XA", description="d", policy=policy)
    said = sanitize_for_serialization(iam.CreateCloudServiceCustomPolicyRequestBody(role=role))
    new = read_body(json.dumps(said).encode(), CreatePolicy).role
    assert (new.display_name, new.type, new.description) == ("own", "XA", "d")
    assert len(read_document(bytes(new.policy)).statements) == 1


def test_a_documents_characters_are_kept() -> None:
    new = read_body(b'{"role":{"display_name":"own","type":"AX","policy":' + DOCUMENT.encode() + b"}}", CreatePolicy)
    assert bytes(new.role.policy).decode() == DOCUMENT


def test_what_is_absent_is_left_unchanged() -> None:
    changes = read_body(b'{"role":{"description":""}}', UpdatePolicy).role
    assert changes.description == ""
    assert {changes.display_name, changes.type, changes.policy} == {msgspec.UNSET}


@pytest.mark.parametrize(
    ("role", "field"),
    [
        ({}, "role.display_name"),
        ({"display_name": "own"}, "role.type"),
        ({"display_name": "own", "type": "AA"}, "role.type"),
        ({"display_name": "own", "type": "AX"}, "role.policy"),
        ({"display_name": "a/b", "type": "AX", "policy": {}}, "role.display_name"),
    ],
)
def test_what_is_wrong_with_a_body_is_named(role: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        read_body(json.dumps({"role": role}).encode(), CreatePolicy)
    assert refusal.value.field == field


@pytest.mark.parametrize("pairs", [{"page": "0"}, {"per_page": "0"}, {"per_page": "301"}, {"page": "x"}])
def test_a_page_that_cannot_be_is_refused_by_name(pairs: dict[str, str]) -> None:
    with pytest.raises(Invalid) as refusal:
        read_query(pairs, Pages)
    assert refusal.value.field in pairs


def test_the_sdk_reads_a_policy() -> None:
    role = read_by_the_sdk({"role": {**say_role(OWN, BASE), "references": 2}}, iam.ShowCustomPolicyResponse).role
    assert (role.id, role.display_name, role.type, role.domain_id, role.catalog) == ("p", "own", "XA", "a", "CUSTOMED")
    assert role.policy.statement[0].action == ["workspace:*:*"]
    assert role.references == 2
    assert role.created_time == role.updated_time == str(int(NOW.timestamp() * 1000))


def test_the_sdk_reads_predefined_policies_among_the_others() -> None:
    answer = read_by_the_sdk(say_roles([FULL, OWN], f"{BASE}/v3/roles", BASE), iam.KeystoneListPermissionsResponse)
    full, own = answer.roles
    assert (full.id, full.display_name, full.flag) == ("Workspace FullAccess", "Workspace FullAccess", "fine_grained")
    assert full.links._self == f"{BASE}/v3/roles/Workspace%20FullAccess"
    assert (own.id, own.flag) == ("p", None)
    assert answer.total_number == 2


def test_the_pages_together_are_the_whole() -> None:
    found = [msgspec.structs.replace(OWN, policy_id=str(number)) for number in range(5)]
    for per_page in (1, 2, 5, 300):
        pages = [say_roles(found, "", BASE, Pages(page=page, per_page=per_page)) for page in range(1, 7)]
        assert [role["id"] for page in pages for role in page["roles"]] == list("01234")
        assert {page["total_number"] for page in pages} == {5}
    assert len(say_roles(found, "", BASE, Pages())["roles"]) == 5


def test_all_about_policies_is_administration() -> None:
    assert [row.id for row in OPERATIONS if row.permission is None or not (row.action or "").startswith("iam:")] == []


@pytest.mark.parametrize("place", ["Domain", "Project"])
@pytest.mark.parametrize("verb", ["List{}PermissionsForGroup", "AssociateGroupWith{}Permission"])
def test_what_is_attached_to_groups_is_named_as_the_vendor_does(place: str, verb: str) -> None:
    name = f"Keystone{verb.format(place)}"
    assert name in {row.id for row in OPERATIONS}
    assert hasattr(iam, f"{name}Request")
