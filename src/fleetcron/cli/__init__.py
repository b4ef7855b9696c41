"""The operator's door: the command line. It starts the service, and talks to one over its own API."""

from fleetcron.cli.app import main

__all__ = ["main"]
