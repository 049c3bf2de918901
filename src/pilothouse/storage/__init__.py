"""Keys, values and revisions; the watch cache over them. Imports api.json, api.selectors, base files."""
