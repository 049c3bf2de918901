"""Stateful sets: pods with names, an order and claims of their own (pkg/controller/statefulset)."""
