"""Daemon sets: one pod on each node that fits (pkg/controller/daemon)."""
