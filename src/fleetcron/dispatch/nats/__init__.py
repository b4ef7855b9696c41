"""The line between many machines: commands and events over NATS JetStream.

Nothing that matters is kept here. The tables are the truth; this carries it, and may lose all of it.
"""
