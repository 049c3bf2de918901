"""Validation rules of the built-in kinds beyond their schemas, one file per API group. Imports api only."""
