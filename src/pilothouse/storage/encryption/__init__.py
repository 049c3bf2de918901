"""Encryption at rest: a storage that encrypts for another one, and its configuration file."""
