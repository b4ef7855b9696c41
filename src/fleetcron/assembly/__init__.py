"""Where the house is put together: settings in, a running service out. It knows everyone and decides nothing."""

from fleetcron.assembly.house import House, Welcome, serve
from fleetcron.assembly.settings import Settings

__all__ = ["House", "Settings", "Welcome", "serve"]
