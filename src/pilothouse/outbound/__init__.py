"""HTTP client for other servers: kubelets, services, webhooks."""
