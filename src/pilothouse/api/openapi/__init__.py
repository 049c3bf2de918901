"""OpenAPI documents in versions 2 and 3."""
