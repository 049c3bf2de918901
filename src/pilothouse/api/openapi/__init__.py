"""The OpenAPI documents of versions 2 and 3."""
