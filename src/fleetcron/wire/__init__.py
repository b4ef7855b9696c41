"""The vendor's words; the only place where they are spelled."""
