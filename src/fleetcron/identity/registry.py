"""Which identity service is meant, and whether what it needs is installed."""

from __future__ import annotations

from fleetcron.errors import BadSettings
from fleetcron.identity.contract import Identity, KeystoneConfig


def open_identity(config: KeystoneConfig) -> Identity:
    """Make ready to ask the service; nothing is asked yet, so that it may be down when we start.

    Raises:
        BadSettings: its library is not installed, or a file that the settings name cannot be read.
    """
    try:
        # Only who uses it needs the library.
        from fleetcron.identity.keystone import KeystoneIdentity  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise BadSettings(
            "identity.kind", f'needs {error.name}, which is not installed: install fleetcron with its extra "keystone"'
        ) from error
    return KeystoneIdentity(config)
