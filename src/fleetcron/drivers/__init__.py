"""The servers: one module per way of reaching them, behind one contract."""
