"""The storage for several servers: an etcd cluster. Needs grpcio (extra `etcd`)."""
