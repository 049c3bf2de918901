"""Cross-field rules of the built-in kinds, one file per API group. Imports api only."""
