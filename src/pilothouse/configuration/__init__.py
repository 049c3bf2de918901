"""The configuration of a server: flags, their values and checks, feature gates, addresses."""
