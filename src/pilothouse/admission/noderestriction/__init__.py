"""The plugin NodeRestriction: what a kubelet may change."""
