"""The expression language of validation rules and policies. Imports api only."""
