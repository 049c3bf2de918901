"""Resources: their records, strategies and storage operations. Imports storage and api."""
