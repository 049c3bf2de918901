"""The core group: its records, strategies and actions on subresources."""
