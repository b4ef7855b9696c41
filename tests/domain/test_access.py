"""The one decision: who may do what, and where."""

from __future__ import annotations

import msgspec
import pytest

from fleetcron.domain.access import Allow, Caller, Deny, Permission, decide

ADA = Caller(user_id="u-ada", user_name="ada", account_id="a", administrator=False, project_id=None)
ADMIN = msgspec.structs.replace(ADA, user_id="u-admin", user_name="admin", administrator=True)
ORDINARY = [permission for permission in Permission if permission is not Permission.MANAGE_ACCESS]


@pytest.mark.parametrize("permission", ORDINARY)
def test_users_may_do_everything_in_their_accounts_projects(permission: Permission) -> None:
    assert decide(ADA, permission, account_id="a", project_id="p") == Allow()


@pytest.mark.parametrize("permission", Permission)
@pytest.mark.parametrize("account_id", ["b", None])
def test_nobody_may_do_anything_elsewhere_and_cannot_tell_what_is_there(
    permission: Permission, account_id: str | None
) -> None:
    denied = Deny(reason="User admin has no access to the project p.")
    assert decide(ADMIN, permission, account_id=account_id, project_id="p") == denied
    assert isinstance(decide(ADMIN, permission, account_id=account_id, user_id="u-admin"), Deny)


@pytest.mark.parametrize("permission", Permission)
def test_a_projects_token_opens_no_other_project(permission: Permission) -> None:
    caller = msgspec.structs.replace(ADMIN, project_id="p")
    assert decide(caller, permission, account_id="a", project_id="p") == Allow()
    assert isinstance(decide(caller, permission, account_id="a", project_id="q"), Deny)


def test_access_is_managed_by_administrators_and_ones_own_by_oneself() -> None:
    manage = Permission.MANAGE_ACCESS
    assert decide(ADMIN, manage, account_id="a") == Allow()
    assert decide(ADMIN, manage, account_id="a", user_id="u-ada") == Allow()
    assert decide(ADA, manage, account_id="a", user_id="u-ada") == Allow()
    assert isinstance(decide(ADA, manage, account_id="a", user_id="u-admin"), Deny)
    assert isinstance(decide(ADA, manage, account_id="a"), Deny)
