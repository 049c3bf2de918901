"""The stores of keys, values and revisions, and the watch cache over them."""
