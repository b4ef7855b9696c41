"""One call as the doors hand it to a deed, and the answer that comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from fleetcron.control.access import Access
from fleetcron.control.audit import Audit
from fleetcron.control.fleet import Fleet
from fleetcron.control.groups import Groups
from fleetcron.control.history import History
from fleetcron.control.policies import Policies
from fleetcron.control.tasks import Tasks
from fleetcron.control.throttle import SignIns
from fleetcron.domain.access import Caller


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What goes back: an encoded JSON body (empty for none) and headers beside the common ones."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = {}


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What every deed stands on: the rooms of control, and the clock that web may ask.

    ``reads_wait`` tells that whoever reads may have to wait, so that no deed may be done in the event loop.
    """

    tasks: Tasks
    history: History
    fleet: Fleet
    access: Access
    groups: Groups
    policies: Policies
    audit: Audit
    sign_ins: SignIns
    clock: Callable[[], datetime]
    default_zone: str
    reads_wait: bool = False


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One authenticated and read request.

    ``caller`` is None only for operations that are open to all. ``path`` holds the path's parameters; ``query``
    and ``body`` are of the types that the operation's row names (None where it names none). ``headers`` have
    lower-case names. ``source`` is the address that the request came from.
    """

    ground: Ground
    caller: Caller | None
    now: datetime
    path: Mapping[str, str]
    query: Any
    body: Any
    headers: Mapping[str, str]
    source: str
    scheme: str = "http"

    @property
    def asker(self) -> Caller:
        """The caller of an operation that needs one."""
        if self.caller is None:
            raise AssertionError("an operation that needs a caller was opened to all")
        return self.caller

    @property
    def project_id(self) -> str:
        """The project in the path."""
        return self.path["project_id"]


Deed = Callable[[Call], Answer]
"""What an operation does; GET runs in the event loop where reads do not wait, everything else in a thread."""
