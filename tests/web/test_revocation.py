"""What was taken back is believed for two seconds at most; what this process itself took back, not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from builders import Clock
from fleetcron.assembly.clock import now
from fleetcron.control.access import Access
from fleetcron.control.groups import Groups
from fleetcron.control.policies import Policies
from fleetcron.domain.access import Caller, Holder
from premises import ACCOUNT, NORTH, SUBJECT, TOKEN, Person, Premises, premises

BELIEVED_SECONDS_MAX = 2
TASKS = f"/v1/{NORTH}/schedule-task"
READ_ONLY = "Workspace ReadOnlyAccess"


@dataclass(kw_only=True)
class Eva:
    """Somebody who may list tasks, by a group's policy, and what she proves it with."""

    person: Person
    group_id: str
    policy: str
    token: str


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Premises]:
    with premises(tmp_path_factory.mktemp("revocation"), Clock(now())) as place:
        yield place


@pytest.fixture
def eva(place: Premises) -> Iterator[Eva]:
    policy = place.policy({"Effect": "Allow", "Action": ["workspace:scheduledTasks:list"]})
    person = place.person("eva")
    group_id = place.as_root("POST", "/v3/groups", {"group": {"name": "listers"}})["group"]["id"]
    place.as_root("PUT", f"/v3/groups/{group_id}/users/{person.user_id}")
    place.as_root("PUT", f"/v3/domains/{ACCOUNT}/groups/{group_id}/roles/{policy}")
    yield Eva(person=person, group_id=group_id, policy=policy, token=place.token("eva"))
    place.clock.advance(BELIEVED_SECONDS_MAX)
    place.client.delete(f"/v3/users/{person.user_id}", headers=place.root)
    place.client.delete(f"/v3/groups/{group_id}", headers=place.root)


def by_token(place: Premises, eva: Eva) -> int:
    return place.client.get(TASKS, headers={TOKEN: eva.token}).status_code


def by_key(place: Premises, eva: Eva) -> int:
    return place.client.get(TASKS, headers=place.signed_by(eva.person, "GET", TASKS)).status_code


TakeBack = Callable[[Premises, Eva, Caller], object]

# What is asked of this process, over HTTP, to take something back; and what becomes of a token and of a key by it.
HERE: dict[str, tuple[str, str, object, int, int]] = {
    "user disabled": ("PATCH", "/v3/users/{user}", {"user": {"enabled": False}}, 401, 401),
    "user deleted": ("DELETE", "/v3/users/{user}", None, 401, 401),
    "password changed": ("PATCH", "/v3/users/{user}", {"user": {"password": "another one"}}, 401, 200),
    "key deleted": ("DELETE", "/v3.0/OS-CREDENTIAL/credentials/{key}", None, 401, 401),
    "policy detached": ("DELETE", "/v3/domains/default/groups/{group}/roles/{policy}", None, 403, 403),
    "policy changed": (
        "PATCH",
        "/v3.0/OS-ROLE/roles/{policy}",
        {"role": {"policy": {"Version": "5.0", "Statement": [{"Effect": "Deny", "Action": ["workspace:*:*"]}]}}},
        403,
        403,
    ),
    "denied as well": ("PUT", "/v3/domains/default/users/{user}/roles/{deny}", None, 403, 403),
    "out of the group": ("DELETE", "/v3/groups/{group}/users/{user}", None, 403, 403),
    "group deleted": ("DELETE", "/v3/groups/{group}", None, 403, 403),
}


@pytest.mark.parametrize("what", HERE)
def test_what_this_process_took_back_counts_at_once(place: Premises, eva: Eva, what: str) -> None:
    method, path, body, token_status, key_status = HERE[what]
    assert (by_token(place, eva), by_key(place, eva)) == (200, 200)
    named = {"user": eva.person.user_id, "key": eva.person.access_key, "group": eva.group_id, "policy": eva.policy}
    if "{deny}" in path:
        named["deny"] = place.policy({"Effect": "Deny", "Action": ["workspace:*:*"]})
    place.as_root(method, path.format(**named), body)
    assert (by_token(place, eva), by_key(place, eva)) == (token_status, key_status)


def test_a_token_that_this_process_revoked_is_over_at_once(place: Premises, eva: Eva) -> None:
    assert by_token(place, eva) == 200
    own = {TOKEN: eva.token, SUBJECT: eva.token}
    assert place.client.delete("/v3/auth/tokens", headers=own).status_code == 204
    assert by_token(place, eva) == 401


def access_of_another(place: Premises) -> Access:
    """What another process at the same database has: it tells this one nothing."""
    return Access(place.house.database)


ELSEWHERE: dict[str, tuple[TakeBack, int, int]] = {
    "token revoked": (
        lambda place, eva, admin: access_of_another(place).revoke_token(admin, eva.token, place.clock()), 401, 200
    ),
    "user disabled": (
        lambda place, eva, admin: access_of_another(place).update_user(admin, eva.person.user_id, enabled=False),
        401, 401,
    ),
    "user deleted": (
        lambda place, eva, admin: access_of_another(place).delete_user(admin, eva.person.user_id), 401, 401
    ),
    "password changed": (
        lambda place, eva, admin: access_of_another(place).update_user(
            admin, eva.person.user_id, password="another one"
        ),
        401, 200,
    ),
    "key deleted": (
        lambda place, eva, admin: access_of_another(place).delete_access_key(admin, eva.person.access_key), 401, 401
    ),
    "policy detached": (
        lambda place, eva, admin: Policies(place.house.database).detach(
            admin, Holder(group_id=eva.group_id, account_id=ACCOUNT), eva.policy, place.clock()
        ),
        403, 403,
    ),
    "out of the group": (
        lambda place, eva, admin: Groups(place.house.database).remove_member(admin, eva.group_id, eva.person.user_id),
        403, 403,
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", ELSEWHERE)
def test_what_another_process_took_back_counts_after_two_seconds(place: Premises, eva: Eva, what: str) -> None:
    take_back, token_status, key_status = ELSEWHERE[what]
    assert (by_token(place, eva), by_key(place, eva)) == (200, 200)
    admin = access_of_another(place).caller_of_token(place.root[TOKEN], place.clock())
    take_back(place, eva, admin)
    # Being asked all the while keeps nothing alive.
    for _ in range(4):
        by_token(place, eva), by_key(place, eva)
        place.clock.advance(BELIEVED_SECONDS_MAX / 4)
    assert (by_token(place, eva), by_key(place, eva)) == (token_status, key_status)


def test_a_clock_that_is_set_back_brings_nothing_back(place: Premises, eva: Eva) -> None:
    assert by_token(place, eva) == 200
    admin = access_of_another(place).caller_of_token(place.root[TOKEN], place.clock())
    access_of_another(place).revoke_token(admin, eva.token, place.clock())
    place.clock.advance(-1)
    assert by_token(place, eva) == 401
    place.clock.advance(1)


def test_a_token_ends_to_the_second_however_recently_it_was_used(place: Premises, eva: Eva) -> None:
    left = 24 * 3600 - 1
    place.clock.advance(left)
    assert by_token(place, eva) == 200
    place.clock.advance(1)
    assert by_token(place, eva) == 401
    # Everybody else's tokens are over, too.
    place.clock.advance(-left - 1)
