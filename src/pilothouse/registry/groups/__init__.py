"""Records and strategies of the built-in resources, one file per API group."""
