"""What only many machines need, and a service in one process does without."""

from __future__ import annotations

from importlib.util import find_spec

from fleetcron.errors import BadSettings


def require_extra(module: str, what: str) -> None:
    """Have the library that ``what`` needs; it is imported where it is used, and only there.

    Raises:
        BadSettings: it is not installed; says what to install.
    """
    if find_spec(module) is None:
        hint = 'install fleetcron with its extra "cluster" (docs/operating.md, Start)'
        raise BadSettings(what, f"needs {module}, which is not installed: {hint}")
