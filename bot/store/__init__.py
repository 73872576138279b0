"""Storage: one SQLite database, written by one thread in groups, read apart."""
