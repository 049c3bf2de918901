"""The process: its memory, its signals, its threads' stacks, its event loop, its metrics, its version, its classes."""
