"""Who is asking. Imports registry readers, server.request and api.identity."""
