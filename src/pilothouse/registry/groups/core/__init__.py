"""The core group: its records, strategies and subresources."""
