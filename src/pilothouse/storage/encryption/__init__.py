"""Encryption at rest: a store in front of the store, and its configuration file."""
