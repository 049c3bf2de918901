"""The default store: one SQLite file, written by one thread."""
