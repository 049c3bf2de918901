"""The functions that expressions can call, one module for each library.
Imports the types, and parsers of api/."""
