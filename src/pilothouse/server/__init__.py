"""HTTP over TLS, without knowledge of Kubernetes. Imports only the base files."""
