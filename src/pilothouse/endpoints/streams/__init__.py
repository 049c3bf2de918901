"""Connections to kubelets and other servers: exec, logs, proxies and aggregated servers."""
