"""Rules of custom resource definitions."""
