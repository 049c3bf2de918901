"""The objects of a fresh cluster, an object a line; written by tools/gen_bootstrap.py (no code)."""
