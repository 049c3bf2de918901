"""What a fresh cluster holds, an object a line; written by tools/gen_bootstrap.py (no code)."""
