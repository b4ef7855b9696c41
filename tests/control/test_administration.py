"""Who may see to an account's users, keys, groups and policies."""

from __future__ import annotations

import pytest

from fleetcron.control.administration import require_management
from fleetcron.domain.access import Caller
from fleetcron.errors import Forbidden

ADMIN = Caller(user_id="a", user_name="admin", account_id="home", administrator=True, project_id=None)
ADA = Caller(user_id="u", user_name="ada", account_id="home", administrator=False, project_id=None)


def test_administrators_pass_in_their_own_account_alone() -> None:
    require_management(ADMIN, account_id="home")
    for account_id in ("elsewhere", None):
        with pytest.raises(Forbidden):
            require_management(ADMIN, account_id=account_id)


def test_others_pass_where_they_ask_about_themselves() -> None:
    require_management(ADA, account_id="home", user_id="u")
    for user_id in (None, "a"):
        with pytest.raises(Forbidden, match="ada is not an administrator"):
            require_management(ADA, account_id="home", user_id=user_id)
