"""What was asked and answered. Imports api."""
