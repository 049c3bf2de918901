"""HTTP to other servers: kubelets, services, webhooks. Needs aiohttp (extra `proxy`)."""
