"""May they. Imports registry readers and api.identity."""
