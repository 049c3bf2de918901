"""The process: its memory, signals, event loop, metrics and version, and how its classes are made."""
