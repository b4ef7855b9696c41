"""Where the house is put together: settings in, a running service out. It knows everyone and decides nothing."""

from fleetcron.assembly.service import Service, Welcome, serve
from fleetcron.assembly.settings import Settings

__all__ = ["Service", "Settings", "Welcome", "serve"]
