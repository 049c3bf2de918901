"""PodSecurity: the pod security standards (KEP-2579).
Its checks know pods, its policy knows namespaces' labels."""
