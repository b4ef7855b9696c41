"""Groups of users in the words of the vendor's IAM, as its own SDK writes and reads them."""

from __future__ import annotations

import json

import huaweicloudsdkiam.v3 as iam
import msgspec
import pytest
from huaweicloudsdkcore.utils.http_utils import sanitize_for_serialization

from builders import NOW
from fleetcron.domain.access import Group
from fleetcron.errors import Invalid
from fleetcron.wire.fields import read_body
from fleetcron.wire.groups import OPERATIONS, CreateGroup, UpdateGroup, say_group, say_groups

BASE = "http://localhost:8080"
OPS = Group(group_id="g", account_id="a", name="ops", description=None, created_at=NOW)


def test_the_sdk_makes_and_changes_a_group() -> None:
    option = iam.KeystoneCreateGroupOption(name="night shift", domain_id="a", description="d")
    said = sanitize_for_serialization(iam.KeystoneCreateGroupRequestBody(group=option))
    new = read_body(json.dumps(said).encode(), CreateGroup).group
    assert (new.name, new.domain_id, new.description) == ("night shift", "a", "d")
    change = iam.KeystoneUpdateGroupRequestBody(group=iam.KeystoneUpdateGroupOption(description=""))
    changes = read_body(json.dumps(sanitize_for_serialization(change)).encode(), UpdateGroup).group
    assert changes.description == ""
    assert changes.name is msgspec.UNSET


@pytest.mark.parametrize("name", ["ops", "夜班", "a b.c,d(e)-f_g", "x" * 128])
def test_a_name_may_be(name: str) -> None:
    assert read_body(json.dumps({"group": {"name": name}}).encode(), CreateGroup).group.name == name


@pytest.mark.parametrize("name", ["", " ", " ops", "ops\n", "a/b", "a\tb", "<ops>", "x" * 129, 7, None])
def test_a_name_may_not_be(name: object) -> None:
    with pytest.raises(Invalid) as refusal:
        read_body(json.dumps({"group": {"name": name}}).encode(), CreateGroup)
    assert refusal.value.field == "group.name"


def test_the_sdk_reads_groups() -> None:
    said = json.loads(msgspec.json.encode(say_groups([OPS], BASE)))
    answer = iam.IamClient()._deserialize(said, iam.KeystoneListGroupsResponse)
    (group,) = answer.groups
    assert (group.id, group.name, group.domain_id, group.description) == ("g", "ops", "a", "")
    assert group.create_time == NOW.timestamp() * 1000
    assert (group.links._self, answer.links._self) == (f"{BASE}/v3/groups/g", f"{BASE}/v3/groups")
    said = json.loads(msgspec.json.encode({"group": say_group(OPS, BASE)}))
    assert iam.IamClient()._deserialize(said, iam.KeystoneCreateGroupResponse).group.name == "ops"


def test_all_about_groups_is_administration() -> None:
    assert [row.id for row in OPERATIONS if row.permission is None or not (row.action or "").startswith("iam:")] == []
