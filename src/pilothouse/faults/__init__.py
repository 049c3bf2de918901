"""Faults on request, for tests of clients: rules have requests fail, wait or be cut. Imports endpoints."""
