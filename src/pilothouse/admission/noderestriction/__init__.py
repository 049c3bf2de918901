"""The plugin NodeRestriction: limits what kubelets may change. Imports the admission chain."""
