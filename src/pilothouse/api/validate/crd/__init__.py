"""Validates custom resource definitions."""
