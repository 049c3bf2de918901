"""API objects without I/O: types, codecs, defaults, validation, patches. Imports only the base files."""
