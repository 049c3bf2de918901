"""Authentication: who is asking. Imports registry readers, server.request and api.identity."""
