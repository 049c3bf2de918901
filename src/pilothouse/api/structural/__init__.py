"""Structural schemas of custom resources: compilation, pruning, defaulting and validation."""
