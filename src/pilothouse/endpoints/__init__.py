"""The Kubernetes API over HTTP: the request pipeline, and rooms for what it leads to.
Imports every package below it."""
