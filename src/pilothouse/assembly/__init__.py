"""Builds a server out of its parts, starts them, and closes them: the one package that knows all others."""
