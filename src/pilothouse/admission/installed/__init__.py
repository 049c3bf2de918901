"""Admission plugins of installed packages (admission/api.py): found, configured, run within their time."""
