"""The commands beside `serve`: kubeconfigs, bootstrap tokens, explanations. Imports assembly and everything below it."""
