"""The API over HTTP: the pipeline and one file per verb. Imports every package below it."""
