"""Reads and writes the JSON subset of YAML."""
