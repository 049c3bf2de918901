"""Flow control: assigns requests to priority levels. Imports registry readers."""
