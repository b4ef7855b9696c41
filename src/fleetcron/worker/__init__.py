"""What the servers need: one attempt per command, observed before it is sent and proven before it ends."""
