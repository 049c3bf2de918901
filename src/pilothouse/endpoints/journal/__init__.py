"""Explains requests: the journal of the latest ones, their lines of the log, their spans."""
