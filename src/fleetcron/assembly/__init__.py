"""Where the house is put together: settings in, a running service out. It knows everyone and decides nothing.

``house`` is the service in one process; ``api``, ``engine`` and ``worker`` are its wings, each as a process of its own.
Import what is meant: a worker's process must not load what only the others need.
"""
