"""The metrics of a store in etcd alone (apiserver storage/etcd3/metrics)."""

from pilothouse.metrics.instruments import Group, Histogram

KEYS = (10, 50, 100, 500, 1000, 2500, 5000)


class EtcdMetrics(Group):
    """Metrics of the leases that keys with a time to live share."""

    def __init__(self) -> None:
        self._lease_keys = Histogram(
            "etcd_lease_object_counts", "[ALPHA] Keys on a lease that takes no more.", (), KEYS
        )
        self.lease_keys = self._lease_keys.series()
