"""Deployments: a replica set for each template, and the move from one to the next
(pkg/controller/deployment)."""
