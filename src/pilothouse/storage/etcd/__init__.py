"""The store for more than one machine: an etcd cluster. Needs grpcio (extra `etcd`)."""
