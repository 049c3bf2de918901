"""The default storage: one SQLite file, written by one thread."""
