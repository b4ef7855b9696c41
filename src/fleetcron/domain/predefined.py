"""The policies that are there from the beginning, named as the vendor names its own.

The vendor publishes what each is for, not what it says. Here they speak of this service alone, of servers and of
scheduled tasks; the vendor's go on about networks, images and desktops that are not to be had here. Its managers of
users, of security and of the tenant's settings have no say in either, and are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fleetcron.domain.policy import Document, read_document


def _allow(*actions: str) -> Document:
    return read_document({"Version": "1.1", "Statement": [{"Effect": "Allow", "Action": list(actions)}]})


PREDEFINED: Final[Mapping[str, Document]] = {
    "Workspace FullAccess": _allow("workspace:*:*"),
    # A guess: every operation that only looks is called get or list something, and no other is.
    "Workspace ReadOnlyAccess": _allow("workspace:*:get*", "workspace:*:list*"),
    # A guess: who looks after desktops schedules what is done to them, and needs to see what can be named.
    "Workspace DesktopsManager": _allow(
        "workspace:scheduledTasks:*",
        "workspace:server:get",
        "workspace:server:list",
        "workspace:serverGroup:get",
        "workspace:serverGroup:list",
    ),
}
"""What each name says; none of them can be changed."""
