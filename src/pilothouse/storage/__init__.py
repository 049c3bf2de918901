"""Keys, values and revisions, and the watch cache over them. Imports api.json, api.selectors, base files."""
