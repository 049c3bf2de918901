"""Structural schemas of custom resources: compiled, pruned by, defaulted by, validated against."""
