"""HTTP client for other servers: kubelets, services, webhooks. Needs aiohttp (extra `proxy`)."""
