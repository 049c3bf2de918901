"""Where spans go: the TracingConfiguration, and the exporter to a collector by OTLP (extra `tracing`)."""
