"""Nodes that do not answer, and their pods: taints, evictions, collection."""
