"""Paths that are no resources: discovery, OpenAPI, health, metrics, dumps and the console."""
