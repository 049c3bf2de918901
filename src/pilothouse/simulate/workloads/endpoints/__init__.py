"""Endpoints of services with a selector: slices, and the older Endpoints objects."""
