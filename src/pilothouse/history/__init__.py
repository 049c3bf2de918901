"""What changed in a cluster, when and by whom: kept, read and taken back."""
