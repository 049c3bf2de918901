"""Keys of encryption at rest that a KMS v2 plugin guards. Needs grpcio (extra `kms`)."""
