"""Changes of objects: patches, server-side apply and the managed fields that remember who has set what."""
