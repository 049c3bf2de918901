"""Prints objects as table rows: the columns and cells of every kind."""
