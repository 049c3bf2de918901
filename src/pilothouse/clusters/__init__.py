"""Logical clusters: many API servers for their clients in one process. Imports assembly and all below it."""
