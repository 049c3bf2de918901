"""Requests that do something with an object instead of storing it:
subresources, reviews, component statuses."""
