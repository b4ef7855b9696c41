"""The nouns and their laws: pure, no I/O, no clock."""
