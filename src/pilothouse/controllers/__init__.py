"""Optional controllers within the server's process; they use the same store as users do. Imports registry."""
