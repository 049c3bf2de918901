"""When a request runs. Imports registry readers."""
