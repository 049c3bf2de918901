"""The Kubernetes API over HTTP: the request pipeline and one file per verb. Imports every package below it."""
