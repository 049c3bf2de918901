"""Explains requests: the journal of the latest ones, log lines and spans of slow ones."""
