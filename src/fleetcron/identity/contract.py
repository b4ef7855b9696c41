"""What is asked of another identity service, and how it is set."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Protocol

import msgspec
from msgspec import Meta

Text = Annotated[str, Meta(min_length=1, max_length=256)]


class Validated(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a token stands for, by the other service's ids; ``project_id`` None if it is for no project.

    ``roles`` are the names of those that the user has in that project, and in no other place.
    """

    user_id: str
    user_name: str
    project_id: str | None
    roles: frozenset[str]
    expires_at: datetime


class Identity(Protocol):
    """An identity service; several threads may ask it at once."""

    def validate(self, token: str, now: datetime) -> Validated:
        """Ask the service whom this token stands for, every time anew; it takes as long as the service does.

        Raises:
            StaleToken: it has expired.
            Unauthenticated: it is unknown or revoked, or its user is disabled.
            Unavailable: the service cannot be asked, does not answer in time, or answers nonsense.
        """
        ...


class KeystoneConfig(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="keystone"
):
    """How tokens are checked with a Keystone, and which of our policies its roles stand for.

    ``url`` ends in ``/v3``. fleetcron signs in there as ``user`` with what ``password_file`` holds; the user needs the
    role ``service`` in ``project`` and no other. ``roles`` names a predefined policy for each role that means something
    here. ``ca_file`` holds the certificates to trust for https, by default those that the library brings.
    """

    url: Annotated[str, Meta(pattern=r"^https?://[^/\s]+(/\S*)?/v3/?$")]
    user: Text
    password_file: Text
    project: Text
    roles: Annotated[dict[Text, Text], Meta(min_length=1)]
    domain: Text = "Default"
    ca_file: Text | None = None
    answer_seconds_max: Annotated[float, Meta(gt=0, le=10)] = 3.0
