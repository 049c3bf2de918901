"""The JSON subset of YAML, read and written."""
