"""A server for tests: in process or as a subprocess, and the pytest fixtures. Imports app."""
