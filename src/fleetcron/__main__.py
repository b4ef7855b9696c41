"""``python -m fleetcron`` is the command ``fleetcron``."""

from __future__ import annotations

from fleetcron.cli import main

if __name__ == "__main__":
    main()
