"""ResourceQuota: what the objects of a namespace may use together,
charged to the quota's status before a write."""
