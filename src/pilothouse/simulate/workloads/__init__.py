"""Workload controllers of a simulated cluster, by the names of kube-controller-manager's:
`maker.controllers`."""
