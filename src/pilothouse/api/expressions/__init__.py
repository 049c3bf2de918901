"""The expressions of Kubernetes' objects: what they see of kinds, schemas, requests and devices,
and the rules of schemas carried out."""
