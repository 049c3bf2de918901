"""Encryption keys that a KMS v2 plugin protects. Needs grpcio (extra `kms`)."""
