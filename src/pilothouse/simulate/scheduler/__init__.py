"""Finds nodes for pods, by the rules of kube-scheduler's default profile."""
