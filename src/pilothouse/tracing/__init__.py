"""The export of spans: the TracingConfiguration,
and the exporter to a collector by OTLP (extra `tracing`)."""
