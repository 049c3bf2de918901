"""Built-in kinds from one version to another."""
