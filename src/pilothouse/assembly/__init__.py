"""Builds a server from its parts, starts and closes them; the only package that imports all others."""
