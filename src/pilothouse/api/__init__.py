"""Objects without I/O: types, codecs, defaults, validation, patches. Imports the base files only."""
