"""Authentication: determines the user of a request.
Imports registry readers, server.request and api.values.identity."""
