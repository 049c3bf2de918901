"""Optional in-process controllers; they use the same store as users. Imports registry."""
