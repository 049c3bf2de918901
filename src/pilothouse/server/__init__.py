"""HTTP over TLS that knows nothing of Kubernetes. Imports the base files only."""
