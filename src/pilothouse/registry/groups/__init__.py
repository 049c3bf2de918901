"""The records of the built-in resources and their strategies, one file per API group."""
