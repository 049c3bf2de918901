"""Flow control: which priority level a request belongs to. Imports registry readers."""
