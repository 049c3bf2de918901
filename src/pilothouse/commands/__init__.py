"""The commands beside `serve`: kubeconfigs and bootstrap tokens. Imports assembly and everything below it."""
