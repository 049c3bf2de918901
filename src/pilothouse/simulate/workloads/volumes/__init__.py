"""Persistent volumes and claims: bound, provisioned, protected and reclaimed (pkg/controller/volume)."""
