"""What happens to nodes that do not answer, and to their pods."""
