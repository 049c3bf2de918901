"""What each resource is, and the verbs over the store. Imports storage and api."""
