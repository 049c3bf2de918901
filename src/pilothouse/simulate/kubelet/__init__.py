"""Acts for the kubelets of simulated nodes: pods begin, become ready, fail and end as stages say."""
