"""The database: SQL, one transaction at a time; columns named as the fields of the nouns."""
