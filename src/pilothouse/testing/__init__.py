"""Real API servers for tests, in process or as subprocesses, and pytest fixtures. Imports assembly."""
